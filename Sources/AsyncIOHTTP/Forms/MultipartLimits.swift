#if HTTP
/// What a multipart body may cost. 413 beyond.
public struct MultipartLimits: Sendable, Hashable {
    /// The most parts. 100.
    public var parts = 100
    /// The most bytes of one part's head, and of what stands before the first part. 8 KiB.
    public var headSize = 8 << 10
    /// The most bytes of one part. 16 MiB.
    public var partSize = 16 << 20
    /// The most bytes of all in all. 64 MiB.
    public var total = 64 << 20

    /// The defaults.
    public init() {}
}
#endif
