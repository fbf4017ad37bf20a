/// What a simulated host runs as a child process.
final class ScriptedProgram {}
