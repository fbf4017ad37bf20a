/// Stops the program, with a message, unless the condition holds: for what only a mistake in the calling program can
/// bring about. As `precondition`, whose message release builds leave out.
@inline(__always)
package func demand(_ isRight: Bool, _ message: @autoclosure () -> String) {
    if !isRight { mistake(message()) }
}

/// Stops the program, with a message.
@inline(never)
package func mistake(_ message: String) -> Never { fatalError(message) }
