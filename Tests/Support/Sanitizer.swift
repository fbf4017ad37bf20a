import Glibc

/// What the tests were built with. A sanitizer takes memory of its own, time, and its way with signals.
package enum Sanitizer {
    package static let isThread = has("__tsan_init")
    package static let isAddress = has("__asan_init")
    package static let isNone = !isThread && !isAddress

    private static func has(_ symbol: String) -> Bool { unsafe dlsym(nil, symbol) != nil }
}
