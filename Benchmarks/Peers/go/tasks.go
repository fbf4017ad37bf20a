package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func expect(right bool) {
	if !right {
		panic("an item was lost")
	}
}

func spawn(count int) {
	measure("spawn", count, func(count int) {
		var batch sync.WaitGroup
		for start := 0; start < count; start += 100 {
			for i := start; i < count && i < start+100; i++ {
				batch.Add(1)
				go batch.Done()
			}
			batch.Wait()
		}
	})
}

func switching(count int) {
	measure("switch", count, func(count int) {
		var both sync.WaitGroup
		both.Add(2)
		for task := 0; task < 2; task++ {
			go func() {
				for i := 0; i < count/2; i++ {
					runtime.Gosched()
				}
				both.Done()
			}()
		}
		both.Wait()
	})
}

func queue(count int) {
	measure("queue", count, func(count int) {
		items := make(chan int, 64)
		go func() {
			for i := 0; i < count; i++ {
				items <- i
			}
			close(items)
		}()
		expected := 0
		for item := range items {
			expect(item == expected)
			expected++
		}
		expect(expected == count)
	})
}

func bounce(count int, there, back chan int) {
	go func() {
		for item := range there {
			back <- item
		}
	}()
	for i := 0; i < count; i++ {
		there <- i
		expect(<-back == i)
	}
	close(there)
}

func handOver(count int) {
	measure("hand-over", count, func(count int) { bounce(count, make(chan int, 1), make(chan int, 1)) })
}

func lock(count int) {
	measure("lock", count, func(count int) {
		var mutex sync.Mutex
		value := 0
		for i := 0; i < count; i++ {
			mutex.Lock()
			value++
			mutex.Unlock()
		}
		expect(value == count)
	})
}

func asyncLet(count int) {
	measure("async-let", count, func(count int) {
		for i := 0; i < count; i++ {
			result := make(chan int, 1)
			go func(number int) { result <- number }(i)
			expect(<-result == i)
		}
	})
}

func group(count int) {
	measure("group", count, func(count int) {
		for i := 0; i < count/10; i++ {
			var ten sync.WaitGroup
			ten.Add(10)
			for j := 0; j < 10; j++ {
				go ten.Done()
			}
			ten.Wait()
		}
	})
}

func sleepers(count int) {
	from := begin()
	var all sync.WaitGroup
	all.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			time.Sleep(3 * time.Second)
			all.Done()
		}()
	}
	all.Wait()
	from.reportMemory("sleepers", count)
}

// The same order of deadlines in every peer.
func spread(index int, span time.Duration) time.Duration {
	return time.Duration(uint64(uint32(index)*2654435761) * uint64(span) >> 32)
}

func timers(count int) {
	insertAndCancel := func(count int) (time.Duration, time.Duration) {
		all := make([]*time.Timer, count)
		inserting := time.Now()
		for i := range all {
			all[i] = time.AfterFunc(time.Minute+spread(i, time.Minute), func() {})
		}
		cancelling := time.Now()
		for _, timer := range all {
			timer.Stop()
		}
		return cancelling.Sub(inserting), time.Since(cancelling)
	}
	insertAndCancel(count / 10)
	from := begin()
	insert, cancel := insertAndCancel(count)
	from.report("timers", count, fmt.Sprintf(`,"insert_ns":%d,"cancel_ns":%d`, insert, cancel))
}

func timersFire(count int) {
	from := begin()
	start := time.Now().Add(time.Second)
	var all sync.WaitGroup
	all.Add(count)
	last := start
	var early atomic.Int64
	for i := 0; i < count; i++ {
		deadline := start.Add(spread(i, time.Second))
		if deadline.After(last) {
			last = deadline
		}
		time.AfterFunc(time.Until(deadline), func() {
			if time.Now().Before(deadline) {
				early.Add(1)
			}
			all.Done()
		})
	}
	all.Wait()
	from.report("timers-fire", count, fmt.Sprintf(`,"late_ns":%d,"early":%d`, time.Since(last), early.Load()))
}

// Two goroutines, each with a thread of its own.
func cross(count int) {
	runtime.GOMAXPROCS(2)
	runtime.LockOSThread()
	there, back := make(chan int, 1), make(chan int, 1)
	go func() {
		runtime.LockOSThread()
		for item := range there {
			back <- item
		}
	}()
	measure("cross", count, func(count int) {
		for i := 0; i < count; i++ {
			there <- i
			expect(<-back == i)
		}
	})
}

func files(count int) {
	path := fmt.Sprintf("/tmp/go-files-%d", os.Getpid())
	check(os.WriteFile(path, make([]byte, 64<<20), 0600))
	file := must(os.Open(path))
	check(os.Remove(path))
	buffer := make([]byte, 4096)
	measure("files", count, func(count int) {
		state := uint64(88172645463325252)
		for i := 0; i < count; i++ {
			state ^= state << 13
			state ^= state >> 7
			state ^= state << 17
			must(file.ReadAt(buffer, int64(state%(64<<8)*4096)))
		}
	})
}

func children(count int) {
	measure("children", count, func(count int) {
		for i := 0; i < count; i++ {
			check(exec.Command("/bin/true").Run())
		}
	})
}

func parked(count int) {
	from := begin()
	never := make(chan struct{})
	for i := 0; i < count; i++ {
		go func() { <-never }()
		if i%100 == 99 {
			runtime.Gosched() // those that were started park
		}
	}
	runtime.Gosched()
	from.reportMemory("parked", count)
}

//go:noinline
func nothing() {}

func call(count int) {
	measure("call", count, func(count int) {
		for i := 0; i < count; i++ {
			nothing()
		}
	})
}
