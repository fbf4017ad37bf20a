// Runs a Swift function when the program is loaded, before `main`.
#ifndef CASYNCIOMAIN_H
#define CASYNCIOMAIN_H

/// Keeps the object file with the constructor in the program.
void casynciomain_link(void);

#endif
