import AsyncIOLoop
import Glibc

/// The terminal while a view has all of it: its other screen, no cursor, each key at once.
///
/// ``leave()`` gives it back as it was; so does exit(3), if nobody has.
enum FullScreen {
    private static let former = Locked<termios?>(nil)
    private static let closesAtExit: Void = { atexit { FullScreen.leave() } }()

    /// Takes the terminal; false if standard input and output are none.
    static func enter() -> Bool {
        guard Console.isTerminal else { return false }
        _ = closesAtExit
        var settings = termios()
        if isatty(STDIN_FILENO) == 1, unsafe tcgetattr(STDIN_FILENO, &settings) == 0 {
            former.withLock { $0 = settings }
            settings.c_lflag &= ~tcflag_t(ICANON | ECHO | IEXTEN)
            // Ctrl-C still is a signal. Ctrl-Z is a key: the screen has to be given back first; Ctrl-\ is nothing.
            settings.c_cc.10 = 0
            settings.c_cc.1 = 0
            settings.c_cc.6 = 1
            settings.c_cc.5 = 0
            _ = unsafe tcsetattr(STDIN_FILENO, TCSANOW, &settings)
        } else {
            former.withLock { $0 = termios() }
        }
        Console.draw("\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J")
        return true
    }

    /// Gives the terminal back. Again does nothing.
    static func leave() {
        guard var settings = former.withLock({ $0.take() }) else { return }
        Console.draw("\u{1b}[?25h\u{1b}[?1049l")
        if settings.c_cflag != 0 { _ = unsafe tcsetattr(STDIN_FILENO, TCSADRAIN, &settings) }
    }

    /// Ctrl-Z: the terminal is the shell's until it lets us go on.
    static func suspend() {
        leave()
        // All of the job, as the terminal would have it.
        kill(0, SIGSTOP)
        _ = enter()
    }
}
