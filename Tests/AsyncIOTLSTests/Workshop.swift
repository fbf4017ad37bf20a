#if TLS
import AsyncIOTLS
import AsyncIOTestSupport
import Foundation

/// Certificates of every kind, made with the `openssl` command when the first test needs one.
///
/// Two authorities, of which clients here trust the first; certificates for `localhost` and 127.0.0.1, good and bad.
struct Workshop: Sendable {
    /// Where the command is; without it the tests that need certificates are skipped, and say so.
    static let hasOpenSSL = openssl != nil
    static let openssl = ["/usr/bin/openssl", "/usr/local/bin/openssl", "/bin/openssl"]
        .first(where: FileManager.default.isExecutableFile)

    static let shared = Result { try Workshop() }

    let scratch: Scratch

    private init() throws {
        scratch = try Scratch()
        let shell = Foundation.Process()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments = ["-ec", Self.script]
        shell.currentDirectoryURL = URL(fileURLWithPath: scratch.path)
        shell.standardInput = FileHandle.nullDevice
        let output = Foundation.Pipe()
        shell.standardError = output
        shell.standardOutput = output
        try shell.run()
        let words = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        shell.waitUntilExit()
        guard shell.terminationStatus == 0 else { throw Unmade(words: words) }
    }

    struct Unmade: Error { let words: String }

    /// The bytes of what was made.
    func bytes(_ name: String) throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: scratch[name]) else { throw Unmade(words: name) }
        return [UInt8](data)
    }

    func identity(_ name: String, key: String? = nil) throws -> TLSIdentity {
        try TLSIdentity(certificatePEM: bytes("\(name).pem"), keyPEM: bytes("\(key ?? name).key"))
    }

    func acceptor(_ name: String, _ change: (inout TLSConfiguration) -> Void = { _ in }) throws -> TLSAcceptor {
        var configuration = TLSConfiguration(identity: try identity(name))
        change(&configuration)
        return try TLSAcceptor(configuration)
    }

    /// Trusts the first authority alone.
    func connector(_ change: (inout TLSConfiguration) -> Void = { _ in }) throws -> TLSConnector {
        var configuration = TLSConfiguration()
        configuration.trust = .pem(try bytes("ca.pem"))
        change(&configuration)
        return try TLSConnector(configuration)
    }

    private static let script = """
        key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt > $1.key; }
        authority() {
            key $1
            openssl req -x509 -new -key $1.key -sha256 -days 30 -subj "/CN=$2" -out $1.pem \
                -addext keyUsage=critical,keyCertSign,cRLSign
        }
        # name, signer, names or none, begin, end, what it may do, more
        signed() {
            key $1
            openssl req -new -key $1.key -subj "/CN=$1" -out $1.csr
            printf 'basicConstraints=%s\\n%s\\n' "${6:-CA:FALSE}" "$7" > $1.ext
            if [ -n "$3" ]; then echo subjectAltName="$3" >> $1.ext; fi
            rm -rf $1.db; mkdir $1.db; : > $1.db/index; echo unique_subject=no > $1.db/index.attr
            printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=%s/index\\nnew_certs_dir=%s\\nrand_serial=yes\\n' $1.db $1.db \
                > $1.cnf
            printf 'default_md=sha256\\npolicy=p\\nemail_in_dn=no\\n[p]\\ncommonName=supplied\\n' >> $1.cnf
            openssl ca -batch -notext -config $1.cnf -cert $2.pem -keyfile $2.key -in $1.csr -out $1.pem \
                -extfile $1.ext -startdate ${4:-20200101000000Z} -enddate ${5:-20990101000000Z}
        }
        here=DNS:localhost,IP:127.0.0.1
        authority ca "The First Authority"
        authority stranger "A Strange Authority"
        signed good ca $here
        signed renewed ca $here
        signed wildcard ca 'DNS:*.example.test'
        signed named ca DNS:localhost
        signed elsewhere ca DNS:elsewhere.test,IP:10.1.2.3
        signed expired ca $here 20200101000000Z 20210203040506Z
        signed future ca $here 20980101000000Z 20990101000000Z
        signed foreign stranger $here
        cat stranger.pem >> foreign.pem
        signed middle ca DNS:middle.test 20200101000000Z 20990101000000Z critical,CA:TRUE
        signed lonely middle $here
        cat lonely.pem middle.pem > whole.pem; cp lonely.key whole.key
        signed strict ca DNS:strict.test 20200101000000Z 20990101000000Z critical,CA:TRUE \
            policyConstraints=critical,requireExplicitPolicy:0
        signed ruled strict $here
        cat strict.pem >> ruled.pem
        signed anywhere ca DNS:elsewhere.test,IP:0.0.0.0
        signed localhost ca ''
        signed star ca 'DNS:*'
        signed partial ca 'DNS:loc*.example.test'
        signed client ca DNS:client.test
        signed badclient stranger DNS:client.test
        key self
        openssl req -x509 -new -key self.key -sha256 -days 30 -subj /CN=self -addext subjectAltName=$here -out self.pem
        """
}
#endif
