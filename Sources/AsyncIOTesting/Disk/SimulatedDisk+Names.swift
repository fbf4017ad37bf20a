import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

// Opening, making, renaming and removing.
extension SimulatedDisk {
    func open(
        _ path: [UInt8], _ base: DiskNode, _ flags: CInt, _ mode: UInt32, _ kernel: HostKernel
    ) throws(Errno) -> Int {
        guard kernel.openDescriptors < world.faults.descriptorLimit else { throw .tooManyOpenFiles }
        let node: DiskNode
        if flags & CInt(CASYNCIO_O_TMPFILE_ALONE) != 0 {
            let folder = try find(path, from: base).existing
            guard folder.isFolder else { throw .notDirectory }
            try checkChange(of: folder)
            node = makeNode(.regular, mode: mode & ~Self.umask & 0o7777)
        } else {
            node = try opened(path, base, flags, mode)
        }
        let file = OpenFile(node, flags, on: self, kernel)
        let number = kernel.install(file)
        if number < 0 { file.hasClosed() }
        return number
    }

    private func opened(_ path: [UInt8], _ base: DiskNode, _ flags: CInt, _ mode: UInt32) throws(Errno) -> DiskNode {
        let isNew = flags & O_CREAT != 0 && flags & O_EXCL != 0
        let place = try find(
            path, from: base, follows: flags & O_NOFOLLOW == 0 && !isNew, isName: isNew, creates: flags & O_CREAT != 0)
        try place.checkName()
        guard let node = place.node else {
            guard flags & O_CREAT != 0 else { throw .noSuchFileOrDirectory }
            try checkChange(of: place.folder)
            try fault(.name, place.folder)
            let node = makeNode(.regular, mode: mode & ~Self.umask & 0o7777)
            enter(node, place.name, in: place.folder)
            return node
        }
        if isNew { throw .fileExists }
        let writes = flags & O_ACCMODE != O_RDONLY
        if place.isFolder || flags & O_DIRECTORY != 0, !node.isFolder { throw .notDirectory }
        if node.target != nil { throw .tooManySymbolicLinkLevels }
        if node.isSocket { throw .noSuchAddressOrDevice }
        if node.isFolder, writes || flags & O_CREAT != 0 { throw .isDirectory }
        let bits: UInt32 = (flags & O_ACCMODE != O_WRONLY ? 4 : 0) | (writes ? 2 : 0)
        guard may(bits, node) else { throw .permissionDenied }
        try fault(.name, node)
        if flags & O_TRUNC != 0, node.isRegular {
            change(node) { $0.truncate(to: 0) }
            touch(node, isModified: true)
            tell(node, IN_MODIFY)
        }
        return node
    }

    func makeFolder(_ path: [UInt8], _ base: DiskNode, _ mode: UInt32) throws(Errno) -> Int {
        let place = try free(path, base, allowsSlash: true)
        try fault(.name, place.folder)
        enter(makeNode(.folder, mode: mode & ~Self.umask & 0o1777), place.name, in: place.folder)
        return 0
    }

    /// A place for a new name.
    private func free(_ path: [UInt8], _ base: DiskNode, allowsSlash: Bool = false) throws(Errno) -> DiskPlace {
        let place = try find(path, from: base, follows: false, isName: true)
        try place.checkName()
        guard place.ending == .name, place.node == nil else { throw .fileExists }
        if place.isFolder, !allowsSlash { throw .noSuchFileOrDirectory }
        try checkChange(of: place.folder)
        return place
    }

    func remove(_ path: [UInt8], _ base: DiskNode, isFolder: Bool) throws(Errno) -> Int {
        let place = try find(path, from: base, follows: false, isName: true)
        switch place.ending {
        case .name: break
        case .itself: throw isFolder ? .invalidArgument : .isDirectory
        case .parent: throw isFolder ? .directoryNotEmpty : .isDirectory
        case .root: throw isFolder ? .resourceBusy : .isDirectory
        }
        try place.checkName()
        guard let node = place.node else { throw .noSuchFileOrDirectory }
        if place.isFolder, !isFolder { throw node.isFolder ? .isDirectory : .notDirectory }
        try checkChange(of: place.folder)
        try checkRemoval(node, asFolder: isFolder)
        try fault(.name, place.folder)
        commit([NameEdit(folder: place.folder, name: place.name, node: nil)])
        return 0
    }

    private func checkRemoval(_ node: DiskNode, asFolder: Bool) throws(Errno) {
        if node.isFolder != asFolder { throw asFolder ? .notDirectory : .isDirectory }
        if node.isFolder, !node.names.isEmpty { throw .directoryNotEmpty }
    }

    func rename(
        _ path: [UInt8], _ base: DiskNode, to newPath: [UInt8], _ newBase: DiskNode, replaces: Bool
    ) throws(Errno) -> Int {
        let from = try find(path, from: base, follows: false, isName: true)
        let to = try find(newPath, from: newBase, follows: false, isName: true)
        guard from.ending == .name else { throw .resourceBusy }
        guard to.ending == .name else { throw replaces ? .resourceBusy : .fileExists }
        try from.checkName()
        guard let node = from.node else { throw .noSuchFileOrDirectory }
        try to.checkName()
        if to.node != nil, !replaces { throw .fileExists }
        if !node.isFolder, from.isFolder || to.isFolder { throw .notDirectory }
        // A folder cannot come to stand in itself, nor replace one that it stands in.
        if stands(to.folder, in: node) { throw .invalidArgument }
        if let old = to.node, stands(from.folder, in: old) { throw .directoryNotEmpty }
        if to.node === node { return 0 }
        try checkChange(of: from.folder)
        try checkChange(of: to.folder)
        if let old = to.node { try checkRemoval(old, asFolder: node.isFolder) }
        if node.isFolder, from.folder !== to.folder, !may(0o2, node) { throw .permissionDenied }
        try fault(.name, from.folder)
        commit([
            NameEdit(folder: from.folder, name: from.name, node: nil),
            NameEdit(folder: to.folder, name: to.name, node: node),
        ])
        return 0
    }

    private func stands(_ folder: DiskNode, in other: DiskNode) -> Bool {
        var folder: DiskNode? = folder
        while let next = folder {
            if next === other { return true }
            folder = next.parent
        }
        return false
    }

    func link(_ path: [UInt8], _ base: DiskNode, at newPath: [UInt8], _ newBase: DiskNode) throws(Errno) -> Int {
        let node = try find(path, from: base, follows: false).existing
        let place = try free(newPath, newBase)
        if node.isFolder { throw .notPermitted }
        try fault(.name, place.folder)
        enter(node, place.name, in: place.folder)
        return 0
    }

    func symbolicLink(to target: [UInt8], at path: [UInt8], _ base: DiskNode) throws(Errno) -> Int {
        guard !target.isEmpty else { throw .noSuchFileOrDirectory }
        guard target.count < 4096 else { throw .fileNameTooLong }
        let place = try free(path, base)
        try fault(.name, place.folder)
        enter(makeNode(.link(target), mode: 0o777), place.name, in: place.folder)
        return 0
    }

    func readLink(
        _ path: [UInt8], _ base: DiskNode, into memory: UnsafeMutableRawBufferPointer
    ) throws(Errno) -> Int {
        guard let target = try find(path, from: base, follows: false).existing.target else { throw .invalidArgument }
        let count = min(target.count, memory.count)
        unsafe memory.copyBytes(from: target[..<count])
        return count
    }

    func setPermissions(_ node: DiskNode, _ mode: UInt32) throws(Errno) -> Int {
        guard userID == 0 || node.owner == userID else { throw .notPermitted }
        node.mode = mode & 0o7777
        touch(node, isModified: false)
        tell(node, IN_ATTRIB)
        return 0
    }

    func touch(_ node: DiskNode, isModified: Bool) {
        node.changed = world.now
        if isModified { node.modified = world.now }
    }

    /// Gives a node a name, as far as programs see it.
    func enter(_ node: DiskNode, _ name: [UInt8], in folder: DiskNode) {
        commit([NameEdit(folder: folder, name: name, node: node)])
    }
}
