package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

type mark struct {
	wall time.Time
	cpu  int64
	peak int64
}

func cpu() int64 {
	const clockProcessCPU = 2
	var spec syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockProcessCPU, uintptr(unsafe.Pointer(&spec)), 0)
	return spec.Nano()
}

func peakKiB() int64 {
	found := regexp.MustCompile(`VmHWM:\s+(\d+)`).FindSubmatch(must(os.ReadFile("/proc/self/status")))
	return must(strconv.ParseInt(string(found[1]), 10, 64))
}

func begin() mark {
	peak := peakKiB()
	return mark{time.Now(), cpu(), peak}
}

// fields are more fields of JSON, or nothing.
func (from mark) report(work string, operations int, fields string) {
	wall, spent := time.Since(from.wall).Nanoseconds(), cpu()-from.cpu
	fmt.Printf(`{"work":"%s","operations":%d,"wall_ns":%d,"cpu_ns":%d,"peak_kib":%d%s}`+"\n",
		work, operations, wall, spent, peakKiB(), fields)
}

func (from mark) reportMemory(work string, operations int) {
	from.report(work, operations, fmt.Sprintf(`,"bytes_each":%d`, (peakKiB()-from.peak)*1024/int64(operations)))
}

// A tenth of the work to warm up, then all of it.
func measure(work string, operations int, body func(int)) {
	body(operations / 10)
	from := begin()
	body(operations)
	from.report(work, operations, "")
}
