#if TLS
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTLS
import AsyncIOTestSupport
import Testing

/// What both ends of a connection have come to.
struct Meeting: Sendable {
    /// What the client was refused with, or the name of what it got.
    var client = ""
    var clientReason: TLSError.Reason?
    var server = ""
    var serverReason: TLSError.Reason?
}

/// Has a client and a server shake hands, and exchange a word where that works.
func meet(
    _ setting: Setting, host: String = "localhost", _ acceptor: TLSAcceptor, _ connector: TLSConnector
) async throws -> Meeting {
    try await withLoop(setting) { loop in
        let (near, far) = MemoryStream.pair()
        var meeting = Meeting()
        let server = loop.spawn(name: "server") {
            do {
                let stream = try await TLSStream.server(over: far, tls: acceptor, on: loop)
                defer { stream.close() }
                let word = try await stream.read() ?? []
                try await stream.write(word)
                return ("\(stream.version)", TLSError.Reason?.none)
            } catch let error as TLSError { return (error.description, error.reason) }
        }
        do {
            let stream = try await TLSStream.client(over: near, host: host, tls: connector, on: loop)
            try await stream.write("word")
            let word = try await stream.read() ?? []
            stream.close()
            meeting.client = String(decoding: word, as: UTF8.self)
        } catch let error as TLSError { (meeting.client, meeting.clientReason) = (error.description, error.reason) }
        near.close()
        (meeting.server, meeting.serverReason) = try await server.value
        return meeting
    }
}

@Suite("Bad certificates are told by their own errors", .timeLimit(.minutes(5)), .enabled(if: Workshop.hasOpenSSL))
struct RefusalTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let certificate: String
        var host = "localhost"
        /// Nil where the client goes on.
        var reason: TLSError.Reason?
        /// What the error has to say.
        var words: [String] = []
        var testDescription: String { "\(certificate), asked for \(host)" }
    }

    static let cases = [
        Case(certificate: "good"),
        Case(certificate: "good", host: "127.0.0.1"),
        Case(certificate: "good", host: "LocalHost."),
        Case(certificate: "whole"),
        Case(certificate: "wildcard", host: "any.example.test"),
        Case(
            certificate: "wildcard", host: "two.levels.example.test", reason: .nameMismatch,
            words: ["two.levels.example.test", "*.example.test"]),
        Case(certificate: "wildcard", host: "example.test", reason: .nameMismatch),
        Case(
            certificate: "named", host: "127.0.0.1", reason: .nameMismatch,
            words: ["asked for 127.0.0.1", "localhost"]),
        Case(
            certificate: "elsewhere", reason: .nameMismatch,
            words: ["asked for localhost", "elsewhere.test", "10.1.2.3"]),
        Case(certificate: "expired", reason: .certificateExpired, words: ["expired on 2021-02-03 04:05:06 UTC"]),
        Case(certificate: "future", reason: .certificateNotYetValid, words: ["from 2098-01-01 00:00:00 UTC"]),
        Case(certificate: "self", reason: .selfSigned, words: ["\"self\"", "signed by itself"]),
        Case(certificate: "foreign", reason: .unknownAuthority, words: ["\"A Strange Authority\""]),
        Case(certificate: "lonely", reason: .unknownAuthority, words: ["signed by \"middle\""]),
        // BoringSSL refuses this chain without having a certificate in mind.
        Case(certificate: "ruled", reason: .unknownAuthority, words: ["signed by \"strict\""]),
        Case(certificate: "anywhere", reason: .nameMismatch, words: ["asked for localhost", "0.0.0.0"]),
        Case(certificate: "localhost", reason: .nameMismatch, words: ["asked for localhost", "no name at all"]),
        Case(certificate: "star", reason: .nameMismatch),
        Case(certificate: "partial", host: "local.example.test", reason: .nameMismatch),
    ]

    @Test("and good ones are accepted", arguments: cases, Setting.onLoop)
    func badCertificate(_ this: Case, _ setting: Setting) async throws {
        let workshop = try Workshop.shared.get()
        let meeting = try await meet(
            setting, host: this.host, try workshop.acceptor(this.certificate), try workshop.connector())
        #expect(meeting.clientReason == this.reason, "\(meeting)")
        for word in this.words { #expect(meeting.client.contains(word), "\(meeting)") }
        guard this.reason == nil else {
            #expect(meeting.serverReason != nil, "\(meeting)")
            return
        }
        #expect(meeting.client == "word" && meeting.server == "TLS 1.3", "\(meeting)")
    }

    @Test("Verification can be left out, or the name", arguments: Setting.onRealLoop)
    func lessVerification(_ setting: Setting) async throws {
        let workshop = try Workshop.shared.get()
        let unnamed = try await meet(
            setting, try workshop.acceptor("elsewhere"), try workshop.connector { $0.verification = .withoutName })
        #expect(unnamed.client == "word", "\(unnamed)")
        let none = try await meet(
            setting, try workshop.acceptor("self"), try workshop.connector { $0.verification = .none })
        #expect(none.client == "word", "\(none)")
    }

    @Test("A self-signed certificate that is trusted by name is good", arguments: Setting.onRealLoop)
    func trustedSelf(_ setting: Setting) async throws {
        let workshop = try Workshop.shared.get()
        let pem = try workshop.bytes("self.pem")
        let meeting = try await meet(
            setting, try workshop.acceptor("self"), try workshop.connector { $0.trust = .pem(pem) })
        #expect(meeting.client == "word", "\(meeting)")
    }

    @Test("Clients show certificates, where they are asked for, and good ones", arguments: Setting.onRealLoop)
    func clientCertificates(_ setting: Setting) async throws {
        let workshop = try Workshop.shared.get()
        let pem = try workshop.bytes("ca.pem")
        func acceptor(_ rule: TLSConfiguration.ClientCertificates) throws -> TLSAcceptor {
            try workshop.acceptor("good") {
                $0.trust = .pem(pem)
                $0.clientCertificates = rule
            }
        }
        func connector(_ name: String?) throws -> TLSConnector {
            let identity = try name.map { try workshop.identity($0) }
            return try workshop.connector { $0.identity = identity }
        }
        let shown = try await meet(setting, try acceptor(.required), try connector("client"))
        #expect(shown.client == "word", "\(shown)")
        let missing = try await meet(setting, try acceptor(.required), try connector(nil))
        #expect(missing.serverReason == .certificateRequired && missing.clientReason == .certificateRequired)
        let unneeded = try await meet(setting, try acceptor(.optional), try connector(nil))
        #expect(unneeded.client == "word", "\(unneeded)")
        for rule in [TLSConfiguration.ClientCertificates.required, .optional] {
            let bad = try await meet(setting, try acceptor(rule), try connector("badclient"))
            #expect(bad.serverReason == .unknownAuthority && bad.clientReason == .refusedByPeer, "\(bad)")
        }
    }

    @Test("Versions that have nothing in common are told", arguments: Setting.onRealLoop)
    func versions(_ setting: Setting) async throws {
        let workshop = try Workshop.shared.get()
        let old = try workshop.connector { $0.maximumVersion = .tls12 }
        let meeting = try await meet(setting, try workshop.acceptor("good") { $0.minimumVersion = .tls13 }, old)
        #expect(meeting.clientReason == .protocolVersion && meeting.serverReason == .protocolVersion, "\(meeting)")
        let good = try await meet(setting, try workshop.acceptor("good"), old)
        #expect(good.client == "word" && good.server == "TLS 1.2", "\(good)")
    }

    @Test("What cannot be used is told before anybody connects")
    func unusable() throws {
        let workshop = try Workshop.shared.get()
        func reason(_ body: () throws -> Void) -> TLSError.Reason? {
            do { try body() } catch { return (error as? TLSError)?.reason }
            return nil
        }
        #expect(reason { _ = try TLSAcceptor(TLSConfiguration()) } == .unusable)
        #expect(reason { _ = try workshop.identity("good", key: "self") } == .unusable)
        #expect(reason { _ = try TLSIdentity(certificatePEM: [1, 2, 3], keyPEM: []) } == .unusable)
        #expect(reason { _ = try TLSIdentity(certificateFile: "/nowhere", keyFile: "/nowhere") } == .unusable)
        #expect(reason { _ = try workshop.connector { $0.trust = .pem(Array("no".utf8)) } } == .unusable)
        #expect(reason { _ = try workshop.connector { $0.trust = .file("/nowhere") } } == .unusable)
    }
}
#endif
