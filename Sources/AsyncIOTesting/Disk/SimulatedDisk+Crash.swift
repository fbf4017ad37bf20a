import AsyncIOKernel

/// What a name stands for from now on; nil: for nothing.
struct NameEdit {
    let folder: DiskNode
    let name: [UInt8]
    let node: DiskNode?

    struct Key: Hashable {
        let folder: UInt64
        let name: [UInt8]
    }

    var key: Key { Key(folder: folder.number, name: name) }
}

/// Edits that come to the disk together, or not at all.
struct NameChange {
    let edits: [NameEdit]

    /// Whether this one cannot be on the disk without the other, an earlier one: it changes the same name again, or
    /// moves something into a folder that had no name before.
    fileprivate func needs(_ keys: Set<NameEdit.Key>, _ folders: Set<UInt64>) -> Bool {
        edits.contains { edit in
            keys.contains(edit.key) || edit.node.map { $0.isFolder && folders.contains($0.number) } ?? false
        }
    }
}

extension SimulatedDisk {
    /// As many changes wait to be written at most; then the oldest are, as by a journal that is full.
    private static let journalLength = 4096

    /// Changes names, as programs see them.
    func commit(_ edits: [NameEdit]) {
        // What is moved is never without a name.
        for edit in edits { edit.node?.links += 1 }
        let last = edits.last.flatMap { $0.folder.names[$0.name] }
        var gone: [DiskNode] = []
        for edit in edits {
            let old = edit.folder.names[edit.name]
            edit.folder.names[edit.name] = edit.node
            if let node = edit.node {
                if node.isFolder { node.parent = edit.folder }
                node.place = (edit.folder, edit.name)
                touch(node, isModified: false)
            }
            if let old {
                old.links -= 1
                touch(old, isModified: false)
                if old !== edits.last?.node { gone.append(old) }
            }
            touch(edit.folder, isModified: true)
        }
        tell(edits, replacing: last)
        for node in gone { freeIfUnused(node) }
        changes.append(NameChange(edits: edits))
        guard changes.count > Self.journalLength else { return }
        for change in changes.prefix(Self.journalLength / 2) { Self.write(change) }
        changes.removeFirst(Self.journalLength / 2)
    }

    private static func write(_ change: NameChange) {
        for edit in change.edits { edit.folder.namesOnDisk[edit.name] = edit.node }
    }

    /// Writes to the disk what a sync of a node has to.
    func writeNames(of node: DiskNode) {
        guard !changes.isEmpty else { return }
        if order == .journal {
            for change in changes { Self.write(change) }
            changes = []
        } else if node.isFolder {
            write { $0.edits.contains { $0.folder === node } }
        }
    }

    /// Writes the changes that are chosen, and those that they need.
    func write(_ isChosen: (NameChange) -> Bool) {
        var isWritten = [Bool](repeating: false, count: changes.count)
        var keys: Set<NameEdit.Key> = []
        var folders: Set<UInt64> = []
        for index in changes.indices.reversed() {
            let change = changes[index]
            guard isChosen(change) || change.needs(keys, folders) else { continue }
            isWritten[index] = true
            for edit in change.edits {
                keys.insert(edit.key)
                // A new name for something new may be lost with its folder; what is moved may not.
                if change.edits.count > 1 { folders.insert(edit.folder.number) }
            }
        }
        for (change, isWritten) in zip(changes, isWritten) where isWritten { Self.write(change) }
        var index = 0
        changes.removeAll { _ in
            index += 1
            return isWritten[index - 1]
        }
    }

    /// The power is gone: of what was not synced, there is left what the faults say.
    func crash() {
        switch faults.loss {
        case .nothing: for change in changes { Self.write(change) }
        case .everything: break
        case .anything where order == .journal:
            let lost = world.choose("names lost at crash", among: changes.count + 1)
            for change in changes.dropLast(lost) { Self.write(change) }
        case .anything:
            write { [world] _ in world.choose("name lost at crash", among: 2) == 0 }
        }
        changes = []
        used = 0
        var known: Set<UInt64> = []
        var folders = [root]
        while let folder = folders.popLast() {
            folder.mode = folder.modeOnDisk
            folder.watchers = []
            folder.names = folder.namesOnDisk
            for (_, node) in folder.names.all {
                if known.insert(node.number).inserted {
                    node.links = 0
                    restore(node)
                }
                node.links += 1
                guard node.isFolder else { continue }
                node.parent = folder
                folders.append(node)
            }
        }
    }

    /// What is left of a file.
    private func restore(_ node: DiskNode) {
        node.opens = 0
        node.watchers = []
        node.exclusiveLock = nil
        node.sharedLocks = 0
        guard node.isRegular else { return }
        switch faults.loss {
        case .nothing: node.content.sync()
        case .everything:
            node.content.loseUnsynced()
            node.mode = node.modeOnDisk
        case .anything:
            node.content.crash { [world] verb, count in world.choose(verb, among: count) }
            if node.mode != node.modeOnDisk, world.choose("permissions at crash", among: 2) == 1 {
                node.mode = node.modeOnDisk
            }
        }
        node.modeOnDisk = node.mode
        used += node.content.allocated
    }
}
