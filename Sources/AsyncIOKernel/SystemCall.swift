import Glibc
package import SystemPackage

/// The one place where `errno` is read and where an interrupted call is begun again.
///
/// Everything that asks the kernel goes through one of these functions, so that no signal handler of the program can
/// turn into an error that a user sees (PEP 475 tells the story), and no error number is read too late.
package enum SystemCall {
    /// Runs a call that reports failure by -1, again if a signal interrupted it.
    ///
    /// Returns the call's value, or the negated error number: one word, no allocation, no error to unwind. The hot path
    /// works with this form.
    @inline(__always)
    package static func result<Value: FixedWidthInteger>(_ body: () -> Value) -> Int {
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
    package static func resultOnce<Value: FixedWidthInteger>(_ body: () -> Value) -> Int {
        let value = body()
        return value != -1 ? Int(truncatingIfNeeded: value) : -Int(errno)
    }

    /// Runs a call and throws what it reports.
    @discardableResult
    package static func call<Value: FixedWidthInteger>(
        _ operation: String, _ subject: @autoclosure () -> String = "", _ body: () -> Value
    ) throws(IOError) -> Int {
        let value = result(body)
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
