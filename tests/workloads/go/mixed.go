// Exercises: Go, whose programs know their functions' names and lines also when they are stripped.
//
//	main.main   > main.outer > main.middle > main.leaf (main.mix inlined)
//	main.worker > main.outer > …           (a goroutine)
//
// Like the C programs it prints `ready`, goes on for the seconds given or until SIGTERM, and then prints which orders of
// its own functions are legal.
package main

import (
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

var stop atomic.Bool

// Inlined into whatever calls it.
func mix(x uint64) uint64 {
	x ^= x << 13
	x ^= x >> 7
	return x ^ x<<17
}

//go:noinline
func leaf(turns int) uint64 {
	// With an array it has a frame of its own; code without one is skipped by frame pointers.
	var room [8]uint64
	x := uint64(88172645463325252)
	for i := 0; i < turns; i++ {
		x = mix(x)
		room[x&7] += x
	}
	return room[0] ^ room[x&7]
}

//go:noinline
func middle(turns int) uint64 { return leaf(turns) + 1 }

//go:noinline
func outer(turns int) uint64 { return middle(turns) ^ 2 }

//go:noinline
func worker(sum chan<- uint64) {
	x := uint64(0)
	for !stop.Load() {
		x += outer(500000)
	}
	sum <- x
}

func main() {
	seconds := 60
	if len(os.Args) > 1 {
		seconds, _ = strconv.Atoi(os.Args[1])
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	go func() {
		select {
		case <-told:
		case <-time.After(time.Duration(seconds) * time.Second):
		}
		stop.Store(true)
	}()
	os.Stdout.WriteString("ready\n")
	sum := make(chan uint64)
	go worker(sum)
	x := uint64(0)
	for !stop.Load() {
		x += outer(500000)
	}
	x ^= <-sum
	os.Stdout.WriteString(`{"legal": ["main.main main.outer main.middle main.leaf", ` +
		`"main.worker main.outer main.middle main.leaf"], "inlined": "main.mix", "sum": ` + strconv.FormatUint(x, 10) + "}\n")
}
