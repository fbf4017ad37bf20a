import AsyncIO
import AsyncIOInspection
import Testing

@testable import AsyncIOCommand

@Suite("What asyncio top shows")
struct TopTests {
    @Test(
        "fits the screen, whatever there is to be shown",
        arguments: [(80, 24), (120, 40), (40, 8), (20, 6), (300, 100)])
    func sizes(columns: Int, rows: Int) throws {
        for (loops, tasks) in [(0, 0), (1, 1), (1, 500), (40, 500)] {
            var model = TopModel()
            model.take(try tree(loops: loops, tasks: tasks), at: Instant(nanoseconds: 0))
            for keys in ["", "s", "/conn\r", " ", "jjjj", "/"] {
                for letter in keys { _ = model.press(letter == "\r" ? .enter : .letter(letter)) }
                let screen = TopScreen(model, columns: columns, rows: rows)
                #expect(screen.lines.count == rows)
                for line in screen.lines { #expect(Columns.width(of: line.text) <= columns, "\(line.text)") }
                #expect(screen.lines.count { $0.style == .reverse } <= 2)
                #expect(!screen.lines.contains { $0.text.utf8.contains { $0 < 0x20 } })
            }
        }
    }

    @Test("has what matters at 80 by 24")
    func standardScreen() throws {
        var model = TopModel()
        model.take(try tree(loops: 2, tasks: 30), at: Instant(nanoseconds: 0))
        let lines = TopScreen(model, columns: 80, rows: 24).lines
        #expect(lines[0].text == "asyncio top - chat (77): 30 tasks, 0 running, 0 ready, 30 waiting")
        #expect(lines[1].text.hasPrefix("LOOP"))
        #expect(lines[2].text.hasPrefix("1 loop 1"))
        #expect(lines[5].text.contains("WAITS FOR"))
        #expect(lines[6].text.contains("read 10.0.0.30:5000"))
        #expect(lines[23].text.contains("q quit"))
        #expect(lines[6].style == .reverse)
    }

    @Test("sorts by what a key says")
    func orders() throws {
        var model = TopModel()
        model.take(try tree(loops: 1, tasks: 9), at: Instant(nanoseconds: 0))
        let ids = { (model: TopModel) in model.rows.map(\.task.id) }
        // Each task has run longer than those before it, waits shorter, and is younger.
        #expect(ids(model) == Array((1...9).reversed()))
        _ = model.press(.letter("w"))
        #expect(ids(model) == Array(1...9))
        _ = model.press(.letter("a"))
        #expect(ids(model) == Array(1...9))
        _ = model.press(.letter("n"))
        #expect(ids(model) == Array(1...9))
        _ = model.press(.letter("c"))
        #expect(ids(model) == Array((1...9).reversed()))
    }

    @Test("counts what happens between two looks")
    func rates() throws {
        var model = TopModel()
        var tree = try tree(loops: 1, tasks: 2)
        model.take(tree, at: Instant(nanoseconds: 0))
        tree.loops[0].ticks += 500
        tree.loops[0].busy += .milliseconds(200)
        tree.tasks[0].runTime += .milliseconds(150)
        model.take(tree, at: Instant(nanoseconds: 500_000_000))
        #expect(model.loops[0].ticks == 1_000)
        #expect(abs(model.loops[0].busy - 0.4) < 1e-9)
        #expect(model.rows[0].task.id == 1)
        #expect(abs(model.rows[0].share - 0.3) < 1e-9)
        #expect(model.rows[1].share == 0)
    }

    @Test("follows a selected task, and forgets it when it has gone")
    func selection() throws {
        var model = TopModel()
        model.take(try tree(loops: 1, tasks: 50), at: Instant(nanoseconds: 0))
        for _ in 0..<3 { _ = model.press(.down) }
        #expect(model.selectedTask?.id == 47)
        _ = model.press(.letter("w"))
        #expect(model.selectedTask?.id == 47)
        #expect(model.selectedRow == 46)
        let screen = TopScreen(model, columns: 80, rows: 24)
        #expect(screen.lines.contains { $0.style == .reverse && $0.text.hasPrefix("     47 ") })
        _ = model.press(.up)
        _ = model.press(.end)
        _ = model.press(.down)
        #expect(model.selectedTask?.id == 50)
        model.take(try tree(loops: 1, tasks: 49), at: Instant(nanoseconds: 1))
        #expect(model.selectedRow == 0)
        _ = model.press(.pageUp)
        #expect(model.selectedRow == 0)
    }

    @Test("filters by what stands in a task's line, while it is typed")
    func filter() throws {
        var model = TopModel()
        model.take(try tree(loops: 1, tasks: 50), at: Instant(nanoseconds: 0))
        for key in TopKey.keys(in: Array("/0.0.7:q".utf8)) { #expect(model.press(key) == .nothing) }
        #expect(model.rows.isEmpty)
        _ = model.press(.backspace)
        #expect(model.rows.map(\.task.id) == [7])
        _ = model.press(.enter)
        #expect(model.rows.count == 1)
        #expect(model.press(.letter("q")) == .quit)
        _ = model.press(.escape)
        #expect(model.rows.count == 50)
    }

    @Test("knows the keys of terminals")
    func keys() {
        #expect(
            TopKey.keys(in: Array("q\u{1b}[A\u{1b}OB\u{1b}[5~\u{1b}[6~\u{1b}[1~\u{1b}[F\r\u{7f}\u{1a}ä\u{1b}".utf8))
                == [
                    .letter("q"), .up, .down, .pageUp, .pageDown, .home, .end, .enter, .backspace, .suspend,
                    .letter("ä"),
                    .escape,
                ])
        #expect(TopKey.keys(in: Array("\u{1b}[1;5A\u{1b}[200~x\u{1}".utf8)) == [.up, .letter("x")])
        #expect(TopKey.keys(in: Array("\u{1b}[".utf8)).isEmpty)
    }

    @Test(
        "puts times into six columns",
        arguments: [
            (0, "0 ns"), (999, "999 ns"), (1_500, "1.5 µs"), (850_000, "850 µs"), (1_000_000, "1.0 ms"),
            (12_400_000, "12 ms"), (999_400_000, "999 ms"),
            (999_600_000, "1.0 s"), (9_940_000_000, "9.9 s"), (61_000_000_000, "61 s"), (600_000_000_000, "10 min"),
            (7_200_000_000_000, "2.0 h"), (86_400_000_000_000, "24 h"), (864_000_000_000_000, "10 d"),
            (.max - 1, "9999 d"), (.max, "for ever"),
        ] as [(Int64, String)])
    func times(nanoseconds: Int64, text: String) {
        #expect(Duration.nanoseconds(nanoseconds).inWords == text)
    }

    /// A tree as it comes from a process. Each task has run longer than those before it, and is younger.
    private func tree(loops: Int, tasks: Int) throws -> TaskTree {
        var text = "process\tpid=77\tprogram=/usr/bin/chat\tprotocol=1\tloops=\(loops)\tage=9000000000\n"
        for number in 1..<max(loops + 1, 1) {
            text += "loop\tnumber=\(number)\tname=loop \(number)\tdriver=epoll\tticks=5\tage=1000000000\n"
        }
        for id in 1..<max(tasks + 1, 1) {
            let name = id < 10 ? "task-\(id)" : "connection \\x1b[2J日本語 \(id)"
            text += "task\tid=\(id)\tname=\(name)\tloop=1\tstate=waiting\twait=read\ttarget=10.0.0.\(id):5000\tfd=\(id)"
            text += "\tsince=\(10_000_000_000 - id)\tage=\(20_000_000_000 - id)\tcpu=\(id * 1_000_000)\truns=3\n"
            text += "frame\taddress=4096\tfunction=f(\(id))\n"
        }
        var answer = AnswerReader()
        try answer.take(Array("\(text)end\n".utf8))
        return try #require(answer.records.tree)
    }
}
