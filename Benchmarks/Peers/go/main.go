// Go, with its standard library. GOMAXPROCS is 1: one thread runs Go code, as in the other peers; only `cross`, which
// is about two threads, has 2.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
)

func number(index int) int {
	if len(os.Args) <= index {
		return 0
	}
	value, _ := strconv.Atoi(os.Args[index])
	return value
}

func main() {
	runtime.GOMAXPROCS(1)
	works := map[string]func(int){
		"echo": echo, "udp": udp, "spawn": spawn, "switch": switching, "queue": queue, "hand-over": handOver,
		"lock": lock, "async-let": asyncLet, "group": group, "sleepers": sleepers, "timers": timers,
		"timers-fire": timersFire, "cross": cross, "files": files, "children": children, "parked": parked, "call": call,
		"proxy": func(port int) { proxy(port, number(3)) },
		"start": func(int) {
			done := make(chan struct{})
			go close(done)
			<-done
		},
	}
	work := works[append(os.Args, "")[1]]
	if work == nil {
		fmt.Fprintln(os.Stderr, "unknown work")
		os.Exit(3)
	}
	work(number(2))
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
