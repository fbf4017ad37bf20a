import Glibc
package import SystemPackage

/// The one place where `errno` is read and where an interrupted call is begun again.
///
/// Everything that asks the kernel goes through one of these functions, so that no signal handler of the program can
/// turn into an error that a user sees (PEP 475 tells the story), and no error number is read too late.
///
/// On a thread with a ``SystemStandIn``, the typed functions ask that one instead, and what comes as far as the raw
/// call all the same is refused by the name of its function.
package enum SystemCall {
    /// Runs a call that reports failure by -1, again if a signal interrupted it.
    ///
    /// Returns the call's value, or the negated error number: one word, no allocation, no error to unwind. The hot path
    /// works with this form.
    @inline(__always)
    package static func result<Value: FixedWidthInteger>(
        name: StaticString = #function, _ body: () -> Value
    ) -> Int {
        if let standIn { return standIn.refuse(name) }
        while true {
            let value = body()
            if value != -1 { return Int(truncatingIfNeeded: value) }
            let code = errno
            if code != EINTR { return -Int(code) }
        }
    }

    /// Runs a call once, even if a signal interrupts it: for close(2), which must never be repeated, and for waits
    /// whose caller has to look around after a signal.
    @inline(__always)
    package static func resultOnce<Value: FixedWidthInteger>(
        name: StaticString = #function, _ body: () -> Value
    ) -> Int {
        if let standIn { return standIn.refuse(name) }
        let value = body()
        return value != -1 ? Int(truncatingIfNeeded: value) : -Int(errno)
    }

    /// Runs a call and throws what it reports.
    @discardableResult
    package static func call<Value: FixedWidthInteger>(
        _ operation: String, _ subject: @autoclosure () -> String = "", name: StaticString = #function,
        _ body: () -> Value
    ) throws(IOError) -> Int {
        try check(result(name: name, body), operation, subject())
    }

    /// Throws what a call's result reports.
    @discardableResult
    package static func check(
        _ value: Int, _ operation: String, _ subject: @autoclosure () -> String = ""
    ) throws(IOError) -> Int {
        if value >= 0 { return value }
        throw IOError(Errno(negated: value), operation: operation, subject: subject())
    }
}

extension Errno {
    /// The error number in a negative result, as the kernel and ``SystemCall`` write it.
    package init(negated result: Int) {
        self.init(rawValue: CInt(truncatingIfNeeded: 0 &- result))
    }

    /// The negative result that stands for this error.
    package var negated: Int { -Int(rawValue) }
}
