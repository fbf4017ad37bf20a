import AsyncIOKernel

/// A recording as one page of HTML that fetches nothing.
///
/// What comes from the recorded program, names above all, stands in the page only as JSON whose letters mean nothing to
/// HTML, and the page's script shows it as text. A policy in the page forbids it to load or send anything.
struct TracePage {
    /// The page's own script, which no recording changes.
    private static var scripts: [StaticString] {
        [pageModel, pageDrawing, pageArrows, pageStories, pageStatistics, pageControls, pageKeys]
    }

    /// Writes a page in pieces.
    static func write(
        _ recording: TraceRecording, title: String?, to sink: @escaping ([UInt8]) throws -> Void
    ) throws {
        let packed = PackedTrace(recording)
        var text = JSONText(to: sink)
        text.raw(pageHead)
        text.raw(pageStyle)
        text.raw(pageBody)
        text.raw("<script type=\"application/json\" id=\"trace\">")
        try header(recording, packed, title ?? recording.program, &text)
        text.raw("</script>\n<script type=\"text/plain\" id=\"spans\">")
        // A multiple of three: the letters of the pieces make one text.
        var place = 0
        while place < packed.bytes.count {
            let end = min(place + 49_152, packed.bytes.count)
            text.append(Base64Text.encoded(packed.bytes[place..<end]))
            place = end
            try text.flush()
        }
        text.raw("</script>\n<script>\n\"use strict\";\n")
        for script in scripts { text.raw(script) }
        text.raw("</script>\n</body>\n</html>\n")
        try text.flush(isLast: true)
    }

    private static func header(
        _ recording: TraceRecording, _ packed: PackedTrace, _ title: String, _ text: inout JSONText
    ) throws {
        text.raw("{\"title\":")
        text.string(title)
        text.raw(",\"program\":")
        text.string(recording.program)
        text.raw(",\"process\":\(recording.process),\"events\":\(recording.eventCount)")
        text.raw(",\"lost\":\(recording.lostEventCount),\"duration\":")
        text.number(recording.end.nanoseconds - recording.start.nanoseconds)
        text.raw(",\"notes\":[")
        list(recording.notes, &text) { $1.string($0) }
        text.raw("],\"strings\":[")
        list(packed.strings, &text) { $1.string($0) }
        text.raw("],\"loops\":[")
        list(recording.loops, &text) { loop, text in
            text.raw("[\(loop.number),")
            text.string(loop.name)
            text.raw(",")
            text.string(loop.driver)
            text.raw(",\(loop.thread),\(loop.lost)]")
        }
        text.raw("],\"lanes\":[")
        var separator: StaticString = ""
        for lane in packed.lanes {
            text.raw(separator)
            separator = ",\n"
            describe(lane, recording, &text)
            try text.flush()
        }
        text.raw("]}")
    }

    /// Loop, id, name, origin, parent, creator, when it was first seen (null: before), whether it ended, spans, marks.
    private static func describe(_ lane: PackedTrace.Entry, _ recording: TraceRecording, _ text: inout JSONText) {
        text.raw("[\(lane.loop),\(lane.task),")
        for name in [lane.fact?.name, lane.fact?.origin] {
            if let name { text.string(name) } else { text.raw("null") }
            text.raw(",")
        }
        text.raw("\(lane.fact?.parent ?? 0),\(lane.fact?.creator ?? 0),")
        if let first = lane.fact?.first, first > recording.start {
            text.number(first.nanoseconds - recording.start.nanoseconds)
        } else {
            text.raw("null")
        }
        text.raw(lane.isOver ? ",1," : ",0,")
        text.raw("\(lane.spans),\(lane.marks)]")
    }

    private static func list<Item>(
        _ items: [Item], _ text: inout JSONText, _ write: (Item, inout JSONText) -> Void
    ) {
        for (place, item) in items.enumerated() {
            if place > 0 { text.raw(",") }
            write(item, &text)
        }
    }
}
