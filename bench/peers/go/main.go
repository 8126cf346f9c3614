// Go peer: goroutines and channels. Usage: gobench BENCH [key=value ...]; GOMAXPROCS comes from the environment.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type result map[string]interface{}

var args = map[string]string{}

func num(key string, def int) int {
	if v, ok := args[key]; ok {
		n, err := strconv.Atoi(v)
		if err != nil {
			panic(err)
		}
		return n
	}
	return def
}

func rate(n int, d time.Duration, unit string) result {
	return result{"value": float64(n) / d.Seconds(), "unit": unit, "count": n, "seconds": d.Seconds()}
}

func memory() int {
	b, _ := os.ReadFile("/proc/self/status")
	total := 0
	for _, line := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(line, "VmRSS:") || strings.HasPrefix(line, "VmPTE:") {
			kib, _ := strconv.Atoi(strings.Fields(line)[1])
			total += kib * 1024
		}
	}
	return total
}

func lateness(late []time.Duration) result {
	sort.Slice(late, func(i, j int) bool { return late[i] < late[j] })
	at := func(q float64) float64 {
		i := int(float64(len(late)) * q)
		if i >= len(late) {
			i = len(late) - 1
		}
		return late[i].Seconds() * 1e3
	}
	return result{"late_p50_ms": at(.5), "late_p99_ms": at(.99), "late_max_ms": at(1), "late_samples": len(late)}
}

func spawn() result {
	n := num("n", 1_000_000)
	var wg sync.WaitGroup
	wg.Add(n)
	t0 := time.Now()
	for i := 0; i < n; i++ {
		go wg.Done()
	}
	wg.Wait()
	return rate(n, time.Since(t0), "spawns/s")
}

func pingpong() result {
	n := num("n", 1_000_000)
	lock := num("osthreads", 0) == 1 // each side on its own OS thread: forces the cross-thread path
	a, b := make(chan int), make(chan int)
	t0 := time.Now()
	go func() {
		if lock {
			runtime.LockOSThread()
		}
		for v := range a {
			b <- v
		}
	}()
	if lock {
		runtime.LockOSThread()
	}
	for i := 0; i < n; i++ {
		a <- i
		<-b
	}
	return rate(n, time.Since(t0), "round trips/s")
}

func ring() result {
	tasks, laps := num("tasks", 1000), num("laps", 1000)
	boxes := make([]chan int, tasks)
	for i := range boxes {
		boxes[i] = make(chan int, 1)
	}
	var wg sync.WaitGroup
	wg.Add(tasks)
	t0 := time.Now()
	for i := range boxes {
		in, out := boxes[i], boxes[(i+1)%tasks]
		go func() {
			defer wg.Done()
			for token := range in {
				out <- token - 1
				if token <= tasks {
					return
				}
			}
		}()
	}
	boxes[0] <- tasks * laps
	wg.Wait()
	return rate(tasks*laps, time.Since(t0), "hops/s")
}

func idle() result {
	n := num("n", 100_000)
	var waiting int64
	var wg sync.WaitGroup
	wg.Add(n)
	boxes := make([]chan int, n)
	before := memory()
	t0 := time.Now()
	for i := range boxes {
		box := make(chan int, 1)
		boxes[i] = box
		go func() {
			atomic.AddInt64(&waiting, 1)
			<-box
			wg.Done()
		}()
	}
	for atomic.LoadInt64(&waiting) < int64(n) {
		runtime.Gosched()
	}
	create := time.Since(t0)
	per := float64(memory()-before) / float64(n)
	t1 := time.Now()
	for _, box := range boxes {
		box <- 1
	}
	wg.Wait()
	return result{"value": per, "unit": "bytes/task", "create_s": create.Seconds(),
		"wake_all_s": time.Since(t1).Seconds()}
}

func isPrime(n int) bool {
	if n < 2 {
		return false
	}
	if n%2 == 0 {
		return n == 2
	}
	for d := 3; d*d <= n; d += 2 {
		if n%d == 0 {
			return false
		}
	}
	return true
}

func primes() result {
	limit, tasks := num("limit", 2_000_000), num("tasks", 64)
	out := make(chan int)
	t0 := time.Now()
	for i := 0; i < tasks; i++ {
		lo, hi := limit*i/tasks, limit*(i+1)/tasks
		go func() {
			total := 0
			for n := lo; n < hi; n++ {
				if isPrime(n) {
					total++
				}
			}
			out <- total
		}()
	}
	total := 0
	for i := 0; i < tasks; i++ {
		total += <-out
	}
	return result{"value": time.Since(t0).Seconds(), "unit": "s", "primes": total}
}

func mpsc() result {
	n, producers, bound := num("n", 1_000_000), num("producers", 8), num("bound", 1024)
	box := make(chan int, bound)
	t0 := time.Now()
	for p := 0; p < producers; p++ {
		go func() {
			for i := 0; i < n/producers; i++ {
				box <- i
			}
		}()
	}
	for i := 0; i < n; i++ {
		<-box
	}
	return rate(n, time.Since(t0), "msgs/s")
}

func bigbuf() result {
	mib, passes := num("mib", 64), num("passes", 100)
	buf := make([]byte, mib<<20)
	buf[0], buf[len(buf)-1] = 7, 7
	check := func(b []byte) {
		if b[0] != 7 || b[len(b)-1] != 7 {
			panic("bad buffer")
		}
	}
	a, b := make(chan []byte), make(chan []byte)
	go func() {
		runtime.LockOSThread()
		for v := range a {
			check(v)
			b <- v
		}
	}()
	runtime.LockOSThread()
	t0 := time.Now()
	for i := 0; i < passes/2; i++ {
		a <- buf
		buf = <-b
		check(buf)
	}
	took := time.Since(t0).Seconds()
	return result{"value": float64(mib<<20) * float64(passes) / took / 1e9, "unit": "GB/s",
		"per_pass_us": took / float64(passes) * 1e6}
}

func timers() result {
	n := num("n", 100_000)
	late := make([]time.Duration, n)
	var wg sync.WaitGroup
	wg.Add(n)
	t0 := time.Now()
	for i := 0; i < n; i++ {
		i := i
		go func() {
			defer wg.Done()
			delay := time.Duration(rand.Float64() * 1e9)
			due := time.Now().Add(delay)
			time.Sleep(delay)
			late[i] = time.Since(due)
		}()
	}
	wg.Wait()
	took := time.Since(t0)
	r := lateness(late)
	r["value"], r["unit"] = took.Seconds(), "s"
	return r
}

func fairness() result {
	tickers, period, seconds := num("tickers", 100), time.Duration(num("period_ms", 10))*time.Millisecond, num("seconds", 3)
	var mu sync.Mutex
	var late []time.Duration
	var wg sync.WaitGroup
	length := time.Duration(seconds) * time.Second
	start := time.Now()
	for i := 0; i < tickers; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var mine []time.Duration
			for k := 1; k <= int(length/period); k++ {
				due := start.Add(time.Duration(k) * period)
				if wait := time.Until(due); wait > 0 {
					time.Sleep(wait)
				}
				mine = append(mine, time.Since(due))
			}
			mu.Lock()
			late = append(late, mine...)
			mu.Unlock()
		}()
	}
	iters := 0
	wg.Add(1)
	go func() {
		defer wg.Done()
		for end := start.Add(length); time.Now().Before(end); {
			for i := 0; i < 1_000_000; i++ {
				iters++
			}
		}
	}()
	wg.Wait()
	r := lateness(late)
	r["value"], r["unit"], r["hog_iters"] = r["late_p99_ms"], "ms", iters
	return r
}

func echo() result {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("PORT", l.Addr().(*net.TCPAddr).Port)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				buf := make([]byte, 4096)
				for {
					n, err := c.Read(buf)
					if err != nil {
						c.Close()
						return
					}
					if _, err := c.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	io.Copy(io.Discard, os.Stdin)
	return nil
}

func main() {
	for _, a := range os.Args[2:] {
		kv := strings.SplitN(a, "=", 2)
		args[kv[0]] = kv[1]
	}
	benches := map[string]func() result{"spawn": spawn, "pingpong": pingpong, "ring": ring, "idle": idle,
		"primes": primes, "fan_in": mpsc, "buffer": bigbuf, "timers": timers, "fairness": fairness, "echo": echo}
	r := benches[os.Args[1]]()
	if r == nil {
		return
	}
	line := result{"peer": "go", "bench": os.Args[1], "value": r["value"], "unit": r["unit"], "params": args}
	delete(r, "value")
	delete(r, "unit")
	r["gomaxprocs"] = runtime.GOMAXPROCS(0)
	line["extra"] = r
	json.NewEncoder(os.Stdout).Encode(line)
}
