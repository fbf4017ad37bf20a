import SystemPackage

/// Where a path leads on a simulated disk (path_resolution(7)).
struct DiskPlace {
    /// What the path ends in.
    enum Ending { case name, itself, parent, root }

    let folder: DiskNode
    let name: [UInt8]
    /// What stands there.
    let node: DiskNode?
    let ending: Ending
    /// The path ends in a slash.
    let isFolder: Bool

    /// Throws if no file system has such a name.
    func checkName() throws(Errno) {
        if name.count > 255 { throw .fileNameTooLong }
    }

    /// What stands there, or why nothing does.
    var existing: DiskNode {
        get throws(Errno) {
            try checkName()
            guard let node else { throw .noSuchFileOrDirectory }
            if isFolder && !node.isFolder { throw .notDirectory }
            return node
        }
    }
}

extension SimulatedDisk {
    private static let slash = UInt8(ascii: "/")

    /// Goes along a path. A link at its end is followed, or is meant itself; in the place of a name, a slash at the
    /// end changes nothing of that. Who would make a file there has to do without the slash.
    func find(
        _ path: [UInt8], from base: DiskNode, follows: Bool = true, isName: Bool = false, creates: Bool = false
    ) throws(Errno) -> DiskPlace {
        guard !path.isEmpty else { throw .noSuchFileOrDirectory }
        guard path.count < 4096 else { throw .fileNameTooLong }
        var folder = path.first == Self.slash ? root : base
        var isFolder = path.last == Self.slash
        var rest = Self.components(path)
        var ending = path.first == Self.slash ? DiskPlace.Ending.root : .itself
        var links = 0
        while let name = rest.popLast() {
            let isLast = rest.isEmpty
            guard folder.isFolder else { throw .notDirectory }
            guard may(0o1, folder) else { throw .permissionDenied }
            if name == [UInt8(ascii: ".")] {
                ending = .itself
                continue
            }
            if name == Array("..".utf8) {
                folder = folder.parent ?? root
                ending = .parent
                continue
            }
            if isLast, creates, isFolder { throw .isDirectory }
            // Of a last name, this is noticed when it is looked up.
            guard name.count <= 255 || isLast && isName else { throw .fileNameTooLong }
            let node = folder.names[name]
            if let target = node?.target, !isLast || !isName && (follows || isFolder) {
                links += 1
                guard links <= 40 else { throw .tooManySymbolicLinkLevels }
                if target.first == Self.slash {
                    folder = root
                    ending = .root
                }
                if isLast, target.last == Self.slash { isFolder = true }
                rest += Self.components(target)
                continue
            }
            if isLast { return DiskPlace(folder: folder, name: name, node: node, ending: .name, isFolder: isFolder) }
            guard let node else { throw .noSuchFileOrDirectory }
            guard node.isFolder else { throw .notDirectory }
            folder = node
            ending = .itself
        }
        return DiskPlace(folder: folder, name: [], node: folder, ending: ending, isFolder: true)
    }

    /// The names of a path, the last one first.
    private static func components(_ path: [UInt8]) -> [[UInt8]] {
        path.split(separator: slash).reversed().map(Array.init)
    }

    /// Whether the host's programs may read (4), write (2) or search (1).
    func may(_ bits: UInt32, _ node: DiskNode) -> Bool {
        // root runs what somebody may run.
        if userID == 0 { return bits & 0o1 == 0 || node.isFolder || node.mode & 0o111 != 0 }
        let shift: UInt32 = node.owner == userID ? 6 : 0
        return node.mode >> shift & bits == bits
    }

    /// Whether a folder's names may be changed.
    func checkChange(of folder: DiskNode) throws(Errno) {
        guard folder.links > 0 else { throw .noSuchFileOrDirectory }
        guard may(0o3, folder) else { throw .permissionDenied }
    }
}
