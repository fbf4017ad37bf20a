public import AsyncIOKernel
public import AsyncIOLoop
import SystemPackage

/// A datagram socket that another program has opened, looked at and not changed yet.
struct AdoptedDatagrams {
    let number: CInt
    let local: SocketAddress
    let peer: SocketAddress?
    /// What errors are about.
    var subject: String { "\(local)" }

    /// Throws ``IOError`` if it is no datagram socket.
    init(_ number: CInt, _ subject: String) throws(IOError) {
        self.number = number
        (local, peer) = try Socket.look(datagrams: number, subject)
    }

    /// Makes it close-on-exec and non-blocking, and sets the options of a UDP socket.
    func prepare(_ options: UDPOptions) throws -> DatagramCore.Traits {
        try Socket.prepare(number, subject)
        guard local.family != .unix else { return DatagramCore.Traits(isUnix: true) }
        return try options.ofBound.apply(to: number, local.family, subject)
    }

    func udp(_ handle: Handle, _ traits: DatagramCore.Traits, _ options: UDPOptions, on loop: EventLoop) -> UDPSocket {
        UDPSocket(loop, handle, traits, options.state(number, local: local, peer: peer))
    }

    func unix(_ handle: Handle, _ traits: DatagramCore.Traits, on loop: EventLoop) -> UnixDatagramSocket {
        UnixDatagramSocket(loop, handle, traits, DatagramCore.State(local: local, peer: peer))
    }

    func refuse(because reason: String) -> IOError {
        IOError(.invalidArgument, operation: "adopt", subject: subject, detail: reason)
    }
}

extension UDPSocket {
    /// Takes over a UDP socket that another program has opened, bound, and perhaps connected.
    ///
    /// Makes it close-on-exec and non-blocking; the latter holds for everybody who shares the socket. The options are
    /// set on it, but for those that only matter before it is bound. The descriptor is closed if this throws:
    /// ``IOError`` with `EINVAL` if it is no datagram socket or a Unix one, `EPROTONOSUPPORT` for another protocol's,
    /// `EBADF` if it is not open.
    public convenience init(
        adopting descriptor: consuming Descriptor, options: UDPOptions = UDPOptions(), on loop: EventLoop? = nil
    ) async throws {
        let loop = try EventLoop.required(loop)
        let socket = try AdoptedDatagrams(descriptor.number, "descriptor \(descriptor.number)")
        guard socket.local.family != .unix else {
            throw socket.refuse(because: "this is a Unix socket; adopt it as a UnixDatagramSocket")
        }
        let traits = try socket.prepare(options)
        let handle = try await loop.adopt(descriptor, socket.subject)
        let state = options.state(socket.number, local: socket.local, peer: socket.peer)
        self.init(loop, handle, traits, state)
    }
}

extension UnixDatagramSocket {
    /// Takes over a Unix datagram socket that another program has opened, and perhaps bound or connected. Its file
    /// stays when the socket closes: it is the other program's.
    ///
    /// Makes it close-on-exec and non-blocking; the latter holds for everybody who shares the socket. The descriptor is
    /// closed if this throws: ``IOError`` with `EINVAL` if it is no Unix datagram socket, `EBADF` if it is not open.
    public convenience init(adopting descriptor: consuming Descriptor, on loop: EventLoop? = nil) async throws {
        let loop = try EventLoop.required(loop)
        let socket = try AdoptedDatagrams(descriptor.number, "descriptor \(descriptor.number)")
        guard socket.local.family == .unix else {
            throw socket.refuse(because: "this is a UDP socket; adopt it as a UDPSocket")
        }
        let traits = try socket.prepare(UDPOptions())
        let handle = try await loop.adopt(descriptor, socket.subject)
        self.init(loop, handle, traits, DatagramCore.State(local: socket.local, peer: socket.peer))
    }
}
