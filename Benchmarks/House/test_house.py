#!/usr/bin/env python3
"""Tests of the benchmark house, without any build of Swift: python3 Benchmarks/House/test_house.py"""
import contextlib
import ctypes
import io
import json
import os
import random
import struct
import subprocess
import sys
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bench
import budgets
import compare
import counts
import figures
import implementations
import machine
import measure
import plot
import rounds
import table
from doubles import FOLDER, HERE, python_server, script, task
from implementations import Implementation
from processes import Failed, Server, Skipped, ask, free_port
from works import WORKS, Work, chosen, operations


def setUpModule():
    implementations.build_tools(FOLDER)


def quick_plan(**more):
    return measure.Plan(
        load=FOLDER / "load", cores=machine.cores(), seconds=0.1, warmup=0.02, is_quick=True, **{"rounds": 2, **more})


class Figures(unittest.TestCase):
    def test_median_and_quartiles(self):
        found = figures.summary([5, 1, 2, 4, 3])
        self.assertEqual((found["median"], found["q1"], found["q3"], found["min"], found["max"]), (3, 2, 4, 1, 5))
        self.assertEqual(figures.summary([7])["q3"], 7)
        self.assertIsNone(figures.summary([]))

    def test_ratios_are_taken_within_a_round(self):
        # The second round was twice as slow for both: the ratio does not show it.
        found = figures.ratio([10, 22, None, 12], [10, 20, 5, None])
        self.assertEqual(found["samples"], [1, 1.1])
        self.assertIsNone(figures.ratio([1, None], [None, 1]))

    def test_what_comes_once_drops_out(self):
        self.assertEqual(figures.per_operation((1_000, 500 + 2_000), (6_000, 500 + 12_000)), 2)

    def test_numbers_for_people(self):
        self.assertEqual(figures.duration(1234), "1.23 µs")
        self.assertEqual(figures.size(2048), "2.00 KiB")
        self.assertEqual(figures.si(1_234_567, "/s"), "1.23 M/s")
        shown = [figures.times(value) for value in (1.049, 12.34, 456.7, 0.00234, None)]
        self.assertEqual(shown, ["1.05×", "12.3×", "457×", "0.0023×", "–"])


class Counts(unittest.TestCase):
    def test_reading_of_other_tools(self):
        self.assertEqual(counts.event_total("# started\n\n1234,,raw_syscalls:sys_enter,9,100.00,,\n"), 1234)
        self.assertIsNone(counts.event_total("<not supported>,,instructions:u,0,100.00,,\n"))
        strace = (
            "% time     seconds  usecs/call     calls    errors syscall\n"
            "------ ----------- ----------- --------- --------- ----------------\n"
            " 60.00    0.000100           1       100           sendto\n"
            " 40.00    0.000090           1        90        12 recvfrom\n"
            "------ ----------- ----------- --------- --------- ----------------\n"
            "100.00    0.000190           1       190        12 total\n")
        self.assertEqual(counts.strace_total(strace), 190)
        self.assertEqual(counts.valgrind_total("==1== I   refs:      1,234,567\n==2== I refs: 3\n"), 1_234_570)
        self.assertIsNone(counts.valgrind_total("==1== nothing"))

    def test_allocations_are_counted_exactly(self):
        file = FOLDER / "counts"
        code = "import ctypes, sys; m = ctypes.CDLL(None).malloc\nfor _ in range(int(sys.argv[1])): m(16)"
        totals = []
        for number in (1_000, 3_000):
            file.unlink(missing_ok=True)
            environment = {**os.environ, "LD_PRELOAD": str(FOLDER / "malloc_count.so"), "MALLOC_COUNT_FILE": str(file)}
            subprocess.run([sys.executable, "-c", code, str(number)], env=environment, check=True)
            totals.append((number, struct.unpack("QQ", file.read_bytes())[0]))
        self.assertAlmostEqual(figures.per_operation(*totals), 1, delta=0.01)

    def test_system_calls_of_a_server(self):
        if not (counts.has_event(counts.SYSTEM_CALLS) or counts._has("strace")):
            self.skipTest("neither perf nor strace counts here")
        work = Work("echo", "", "echo", "echo", ("--connections", "1"))
        with mock.patch.multiple(counts, FEW=(100, 600), MANY=(100, 600)):
            found = counts._system_calls(work, python_server(), quick_plan())
        # select, recv and send for each exchange.
        self.assertAlmostEqual(found, 3, delta=0.2)


class Histogram(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        library = FOLDER / "histogram.so"
        source = HERE.parent / "Load" / "histogram.c"
        subprocess.run(["cc", "-std=gnu11", "-O1", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
        cls.library = ctypes.CDLL(str(library))
        cls.library.histogram_quantile.restype = ctypes.c_uint64
        cls.library.histogram_quantile.argtypes = [ctypes.c_void_p, ctypes.c_double]
        cls.library.histogram_record_corrected.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64]

    def record(self, values, interval=0):
        histogram = ctypes.create_string_buffer(1 << 17)
        for value in values:
            self.library.histogram_record_corrected(histogram, value, interval)
        return lambda quantile: self.library.histogram_quantile(histogram, quantile)

    def test_quantiles_are_right_to_half_a_percent(self):
        draw = random.Random(1)
        values = sorted(int(2 ** draw.uniform(0, 40)) for _ in range(20_000))
        quantile = self.record(values)
        for share in (0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1):
            exact = values[max(0, -(-int(share * 1e6) * len(values) // 1_000_000) - 1)]
            self.assertLessEqual(abs(quantile(share) - exact), exact * 0.005, share)

    def test_small_values_are_exact(self):
        quantile = self.record(range(1, 128))
        self.assertEqual([quantile(share / 127) for share in (1, 64, 127)], [1, 64, 127])

    def test_every_power_of_two_has_its_place(self):
        for exponent in range(64):
            self.assertLessEqual(abs(self.record([1 << exponent])(0.5) - (1 << exponent)), (1 << exponent) >> 7)

    def test_expected_interval(self):
        # One answer after 10 ms, where a client asks every millisecond: it would have seen 10, 9, … 1 ms.
        quantile = self.record([10_000_000], 1_000_000)
        self.assertAlmostEqual(quantile(0.5) / 5_000_000, 1, delta=0.005)


class Load(unittest.TestCase):
    """The load generator against servers that are right, and wrong in one way each."""

    def exchange(self, mode, fault, *options, server="echo"):
        port = free_port()
        with Server(python_server(f"python-{fault}", fault).command(server, port), machine.cores().server) as running:
            command = [str(FOLDER / "load"), mode, str(port), *map(str, options), *running.load()]
            done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual(done.returncode == 0, not told["errors"], told)
        return told

    def test_a_right_server(self):
        for mode, server, *options in (
            ("echo", "echo", "--count", 500, "--connections", 8),
            ("echo", "echo", "--count", 500, "--connections", 4, "--pipeline", 8, "--payload", 1),
            ("echo", "echo", "--count", 20, "--connections", 2, "--payload", 60_000),
            ("echo", "echo", "--count", 300, "--rate", 2_000),
            ("churn", "echo", "--count", 300, "--connections", 8),
            ("storm", "echo", "--count", 300, "--keep"),
            ("udp", "udp", "--count", 500, "--connections", 2, "--pipeline", 8),
            ("udp", "udp", "--count", 500, "--connections", 2, "--payload", 3),
        ):
            with self.subTest(mode=mode, options=options):
                told = self.exchange(mode, "none", *options, server=server)
                self.assertEqual((told["errors"], told["exchanges"]), ({}, options[1]))
                self.assertEqual(told["latency_ns"]["count"], options[1])
                # A few exchanges may be less than the clock of a process tells.
                self.assertGreaterEqual(told["server_cpu_ns"], 0)

    def test_faults_of_streams_are_named(self):
        patience = ("--patience", 1)
        for fault, *names in (
            ("flip", "bytes_changed"), ("drop", "stalled", "bytes_out_of_place"), ("lose", "stalled"),
            ("double", "surplus"), ("add", "surplus"), ("close", "closed_early"), ("half", "stalled"),
            ("swap", "bytes_out_of_place"), ("linger", "not_closed"),
        ):
            with self.subTest(fault=fault):
                told = self.exchange("echo", fault, "--connections", 4, "--seconds", 0.3, "--warmup", 0, *patience)
                self.assertTrue(set(names) & set(told["errors"]), told["errors"])
        for fault, name in (
            ("flip", "bytes_changed"), ("lose", "stalled"), ("add", "surplus"), ("close", "closed_early"),
        ):
            with self.subTest(fault=fault, mode="churn"):
                told = self.exchange("churn", fault, "--count", 100, "--connections", 4, *patience)
                self.assertIn(name, told["errors"])

    def test_faults_under_a_pipeline_are_named(self):
        options = ("--connections", 1, "--pipeline", 8, "--count", 400, "--patience", 10)
        for fault, *names in (("drop", "bytes_out_of_place"), ("double", "bytes_out_of_place", "surplus")):
            with self.subTest(fault=fault):
                told = self.exchange("echo", fault, *options)
                self.assertTrue(set(names) & set(told["errors"]), told["errors"])

    def test_faults_of_datagrams_are_named(self):
        options = ("--connections", 1, "--pipeline", 4, "--count", 200, "--patience", 1)
        for fault, *names in (
            ("flip", "bytes_changed"), ("drop", "bytes_changed"), ("lose", "datagram_lost"),
            ("double", "datagram_doubled"),
        ):
            with self.subTest(fault=fault):
                told = self.exchange("udp", fault, *options, server="udp")
                self.assertTrue(set(names) & set(told["errors"]), told["errors"])

    def test_nobody_listens(self):
        with self.assertRaisesRegex(Failed, "connect_failed"):
            ask(FOLDER / "load", "echo", free_port(), ["--count", 1], machine.cores().load)

    def test_coordinated_omission_is_corrected(self):
        # The server stands still for 300 ms, once. Who asks a thousand times a second finds that in a quarter of a
        # second's exchanges; who waits for an answer before asking again finds it in one.
        closed = self.exchange("echo", "stall", "--connections", 1, "--count", 500)["latency_ns"]
        self.assertLess(closed["p99"], 100e6)
        self.assertGreater(closed["max"], 250e6)
        options = ("--connections", 1, "--seconds", 1, "--warmup", 0, "--rate", 1000)
        opened = self.exchange("echo", "stall", *options)["latency_ns"]
        self.assertGreater(opened["p90"], 100e6)
        # A closed loop of a given number of exchanges, corrected for a client that asks each millisecond.
        corrected = self.exchange("echo", "stall", "--connections", 1, "--count", 500, "--expected-interval", 1000)
        self.assertGreater(corrected["latency_ns"]["p90"], 100e6)


class Rounds(unittest.TestCase):
    def test_each_round_has_everybody_once_in_an_order_of_its_own(self):
        seen = []

        def measured(work, one, plan):
            seen.append(one.name)
            if one.name == "c":
                raise Skipped("has no tasks")
            return {"cpu_ns": 2.0 if one.name == "a" else 3.0}

        taking_part = [Implementation(name, Path(name), False) for name in "abc"]
        with mock.patch.object(rounds, "measure", measured):
            result = rounds.run(chosen(["spawn"])[0], taking_part, quick_plan(rounds=12), random.Random(1))
        together = [name for name in seen if name != "c"]
        orders = [tuple(together[place:place + 2]) for place in range(0, 24, 2)]
        self.assertEqual(set(orders), {("a", "b"), ("b", "a")})
        self.assertEqual(seen.count("c"), 1)
        self.assertEqual(result["reference"], "a")
        self.assertEqual([row.get("ratio", {}).get("median") for row in result["rows"]], [1.0, 1.5, None])
        self.assertEqual(result["rows"][2]["reason"], "has no tasks")

    def test_the_limit_is_the_reference_and_ours_never_unless_alone(self):
        work = chosen(["echo-64"])[0]

        def row(name, value, ours=False):
            return {"name": name, "ours": ours, "figures": {"cpu_ns": {"median": value}}}

        rows = [row("asyncio-uring", 1, True), row("tokio", 2), row("c-epoll", 3)]
        self.assertEqual(rounds.choose_reference(work, rows), "c-epoll")
        self.assertEqual(rounds.choose_reference(work, rows[:2]), "tokio")
        self.assertEqual(rounds.choose_reference(work, rows[:1]), "asyncio-uring")

    def test_timers_that_fire_early_are_not_passed_over(self):
        work = chosen(["timers-fire"])[0]
        one = Implementation("x", Path("x"), False)
        result = rounds.summarize(work, [one], {"x": [{"late_ns": 5, "early": 3}]}, {})
        self.assertIn("3 timers fired early", table.table(result))

    def test_a_name_is_of_a_work_or_of_a_group(self):
        self.assertEqual({work.name for work in WORKS} & set(plot.GROUPS), set())
        self.assertEqual({work.group for work in WORKS}, set(plot.GROUPS))
        self.assertEqual([work.name for work in chosen(["program", "queue"])], ["queue", "start", "size"])

    def test_interpreters_do_less_where_it_does_not_matter(self):
        self.assertEqual(operations(chosen(["spawn"])[0], "python-uvloop", False), 100_000)
        self.assertEqual(operations(chosen(["sleepers"])[0], "python-uvloop", False), 1_000_000)


class Whole(unittest.TestCase):
    """bench.py, compare.py and plot.py, with servers and works of Python and of the shell."""

    @classmethod
    def setUpClass(cls):
        cls.out = FOLDER / "out"
        cls.out.mkdir(exist_ok=True)
        for name in ("load", "malloc_count.so"):
            os.replace(FOLDER / name, cls.out / name)
            os.symlink(cls.out / name, FOLDER / name)
        wrong = python_server("python-wrong", "flip")
        for made in (python_server(), wrong, task("asyncio-quick", 100), task("go", 300)):
            os.replace(made.path, cls.out / made.name)

    def bench(self, *arguments):
        with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(output):
            code = bench.main(["--out", str(self.out), *map(str, arguments)])
        return code, output.getvalue()

    def test_run_and_plot(self):
        file = FOLDER / "run.json"
        timing = ("--quick", "--rounds", 2, "--seconds", 0.1)
        code, said = self.bench("run", "echo-64", "proxy-64", "spawn", *timing, "--json", file)
        self.assertEqual(code, 1)
        self.assertRegex(said, r"python-wrong failed: load: bytes_changed: connection \d+, byte \d+")
        self.assertIn("python-right skipped: does no proxy", said)
        self.assertRegex(said, r"asyncio-quick ◂ +0\.33×")
        document = json.loads(file.read_text())
        self.assertEqual([work["name"] for work in document["works"]], ["echo-64", "proxy-64", "spawn"])
        self.assertEqual(set(document["versions"]), {"asyncio-quick", "go", "python-right", "python-wrong"})
        with contextlib.redirect_stdout(io.StringIO()):
            plot.main([str(file), "-o", str(FOLDER / "plots")])
        for group, names in (("echo", ["python-right", "python-wrong"]), ("tasks", ["asyncio-quick", "go"]),
                             ("overview", ["asyncio-quick", "go"])):
            text = (FOLDER / "plots" / f"{group}.svg").read_text()
            words = "".join(xml.fromstring(text).itertext())
            for name in (*names, document["machine"]["kernel"], document["machine"]["date"]):
                self.assertIn(name, words)
            self.assertIn("prefers-color-scheme: dark", text)

    def test_unknown_names_are_refused(self):
        code, said = self.bench("run", "ecko")
        self.assertEqual((code, said), (2, "bench.py: there is no work or group ecko\n"))
        self.assertEqual(self.bench("run", "spawn", "--only", "nobody")[0], 2)

    def test_idle_start_and_size(self):
        server = python_server()
        plan = quick_plan()
        idle = measure.measure(chosen(["idle"])[0], server, plan)
        self.assertGreater(idle["bytes_each"], 100)
        size = measure.measure(chosen(["size"])[0], server, plan)
        self.assertGreater(size["binary_bytes"], size["program_bytes"] - 1)
        start = measure.measure(chosen(["start"])[0], script("quiet", "#!/bin/sh\nexit 0\n"), plan)
        self.assertGreater(start["start_ns"], 0)
        with self.assertRaisesRegex(Skipped, "cannot"):
            measure.measure(chosen(["start"])[0], script("unable", "#!/bin/sh\necho cannot >&2\nexit 3\n"), plan)

    def test_comparison_of_two_commits(self):
        folders = [FOLDER / "before", FOLDER / "after"]
        for folder, cost in zip(folders, (100, 120)):
            folder.mkdir()
            os.replace(task("asyncio-epoll", cost).path, folder / "asyncio-epoll")
        said = []
        works = chosen(["spawn"])
        self.assertEqual(compare.compare(folders, works, ["epoll"], quick_plan(), 1.05, said.append), 1)
        self.assertRegex(said[0], r"spawn epoll +1\.200× .* above the limit")
        self.assertEqual(compare.compare(folders, works, ["epoll"], quick_plan(), 1.25, said.append), 0)
        self.assertEqual(compare.compare(folders[::-1], works, ["epoll"], quick_plan(), 1.05, said.append), 0)


class Plot(unittest.TestCase):
    def document(self):
        names = ["c-epoll", "tokio", "nio-async", "asyncio-epoll", "asyncio-uring", "a<b&c"]
        taking_part = [Implementation(name, Path(name), name.startswith("asyncio-")) for name in names]
        works = []
        for work in WORKS:
            samples = {
                one.name: [{work.figure: (place + 1) ** 4 * (1 + number / 10)} for number in range(3)]
                for place, one in enumerate(taking_part)
            }
            works.append(rounds.summarize(work, taking_part, samples, {"tokio": ("skipped", "does not do < it")}))
        return {
            "machine": machine.describe(), "method": bench.METHOD, "works": works, "versions": {"c-epoll": "cc 12"},
            "plan": {"rounds": 3, "seconds": 1, "warmup": 0, "quick": True},
        }

    def test_every_row_of_every_group_is_shown(self):
        document = self.document()
        for group in plot.GROUPS:
            picture = plot.draw(document, group)
            words = [text for text in xml.fromstring(picture).itertext()]
            works = [work for work in document["works"] if work["group"] == group]
            for name in ("c-epoll", "nio-async", "asyncio-epoll", "asyncio-uring", "a<b&c"):
                self.assertEqual(words.count(name), len(works), (group, name))
            self.assertEqual(words.count("tokio skipped: does not do < it"), len(works))
            self.assertIn("A quick run: these figures are not to be quoted.", words)

    def test_of_several_runs_the_last_counts_and_each_says_how(self):
        first, second = self.document(), self.document()
        second["plan"] = {"rounds": 7, "seconds": 2, "warmup": 1, "quick": False}
        second["works"] = [work for work in second["works"] if work["name"] == "echo-64"]
        second["works"][0]["title"] = "Measured again"
        both = plot.merged([first, second])
        self.assertEqual([work["name"] for work in both["works"]], [work.name for work in WORKS])
        words = " ".join(" ".join(xml.fromstring(plot.draw(both, "echo")).itertext()).split())
        self.assertEqual(words.count("Measured again"), 1)
        self.assertIn("echo-64: 7 rounds of 2 s after 1 s", words)
        self.assertIn("echo-1, echo-1000", words)
        self.assertIn("A quick run", words, "some of the works were")

    def test_bars_stay_within_the_picture(self):
        picture = xml.fromstring(plot.draw(self.document(), "echo"))
        bars = [shape for shape in picture.iter("{http://www.w3.org/2000/svg}rect") if shape.get("x")]
        self.assertEqual(len(bars), 9 * 5)
        self.assertLessEqual(max(float(bar.get("x")) + float(bar.get("width")) for bar in bars), plot.RIGHT + 1)

    def test_overview_has_a_cell_for_each_peer_and_work(self):
        picture = xml.fromstring(plot.draw_overview(self.document()))
        classes = [shape.get("class") for shape in picture.iter("{http://www.w3.org/2000/svg}rect")]
        # For each of ours: what three peers did, and none of what tokio did not.
        self.assertEqual(sum(tint in classes_of for tint in ("better", "equal", "worse") for classes_of in classes),
                         2 * 3 * len(WORKS))


class Budgets(unittest.TestCase):
    def test_counts_within_and_above(self):
        lines, is_kept = budgets.verdicts({"allocations": 1.0, "system_calls": 2.0}, {"allocations": 1.02})
        self.assertTrue(is_kept)
        self.assertEqual(lines, ["allocations: 1.00 of 1.02"])
        lines, is_kept = budgets.verdicts({"allocations": 1.03}, {"allocations": 1.02, "instructions": 5_000})
        self.assertFalse(is_kept)
        self.assertEqual(lines, ["allocations: 1.03 of 1.02  ABOVE", "instructions: not counted here"])

    def test_what_chance_added_is_counted_again(self):
        work, allowed = chosen(["echo-64"])[0], {"system_calls": 2.1}
        for counted, expected, tries in (([2.31, 2.04], True, 2), ([2.31, 2.3, 2.2, 2.0], False, 3)):
            found = iter(counted)
            with mock.patch("counts.count", side_effect=lambda *_: {"system_calls": next(found)}) as count:
                lines, is_kept = budgets.counted(work, None, None, allowed)
            self.assertEqual((is_kept, count.call_count), (expected, tries), lines)

    def test_every_budget_is_of_a_work(self):
        self.assertEqual([work.name for work in chosen(list(budgets.BUDGETS))], list(budgets.BUDGETS))


if __name__ == "__main__":
    unittest.main()
