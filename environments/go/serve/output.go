package serve

import (
	"bytes"
	"os"
	"sync"
	"syscall"
)

const (
	entryVariable = "FISSION_GO_ENTRY"
	// Stands around the request's id at the start of a line.
	separator = "\x1e"
	// Bytes after which a line that does not end is passed on as it is.
	longestLine = 64 << 10
)

// output passes on what the program prints and marks lines with the request they were printed for. Which goroutine printed
// a line cannot be known, so lines are marked while exactly one request is served. The container keeps the reading ends
// too: what a program prints just before it exits or crashes is not lost.
var output = &lines{}

func init() {
	if _, started := os.LookupEnv(entryVariable); !started {
		return
	}
	for _, descriptor := range []int{listening, control, outputRead, errorRead, outputWrite, errorWrite} {
		syscall.CloseOnExec(descriptor)
	}
	output.streams = []*stream{newStream(outputRead, outputWrite), newStream(errorRead, errorWrite)}
	for _, s := range output.streams {
		go output.follow(s)
	}
}

type lines struct {
	mutex   sync.Mutex
	streams []*stream
	// Requests being served, by id; those without one are counted under "".
	active map[string]int
	count  int
	prefix string
}

// stream is standard output or standard error.
type stream struct {
	from     *os.File
	fd       int
	to       *os.File
	buffer   []byte
	waiting  []byte
	waitMark string
}

func newStream(from, to uintptr) *stream {
	// Read without waiting: its end of a request must not.
	syscall.SetNonblock(int(from), true)
	return &stream{
		from: os.NewFile(from, "output"), fd: int(from), to: os.NewFile(to, "log"), buffer: make([]byte, 16<<10),
	}
}

// enter begins a request: what was printed before is not its own.
func (l *lines) enter(id string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.collectLocked()
	if l.active == nil {
		l.active = map[string]int{}
	}
	l.active[id]++
	l.count++
	l.mark()
}

// leave ends a request: what was printed before is its own.
func (l *lines) leave(id string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.collectLocked()
	l.count--
	if l.active[id]--; l.active[id] == 0 {
		delete(l.active, id)
	}
	l.mark()
}

func (l *lines) mark() {
	l.prefix = ""
	if l.count == 1 {
		for id := range l.active {
			if id != "" {
				l.prefix = separator + id + separator
			}
		}
	}
}

func (l *lines) collect() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.collectLocked()
	for _, s := range l.streams {
		if len(s.waiting) > 0 {
			s.to.Write(append(append([]byte(s.waitMark), s.waiting...), '\n'))
			s.waiting = nil
		}
	}
}

func (l *lines) collectLocked() {
	for _, s := range l.streams {
		s.read(l.prefix)
	}
}

// follow passes lines on as they come, while no request begins or ends.
func (l *lines) follow(s *stream) {
	connection, err := s.from.SyscallConn()
	if err != nil {
		return
	}
	connection.Read(func(uintptr) bool {
		l.mutex.Lock()
		defer l.mutex.Unlock()
		s.read(l.prefix)
		return false
	})
}

// read takes all there is.
func (s *stream) read(prefix string) {
	for {
		count, err := syscall.Read(s.fd, s.buffer)
		if err == syscall.EINTR {
			continue
		}
		if count <= 0 {
			return
		}
		s.write(s.buffer[:count], prefix)
		if count < len(s.buffer) {
			return
		}
	}
}

// write passes on the lines that have ended.
func (s *stream) write(data []byte, prefix string) {
	var marked []byte
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n') + 1
		if len(s.waiting) == 0 {
			s.waitMark = prefix
		}
		if end == 0 {
			s.waiting = append(s.waiting, data...)
			if len(s.waiting) > longestLine {
				marked = append(append(append(marked, s.waitMark...), s.waiting...), '\n')
				s.waiting = s.waiting[:0]
			}
			break
		}
		marked = append(append(append(marked, s.waitMark...), s.waiting...), data[:end]...)
		s.waiting = s.waiting[:0]
		data = data[end:]
	}
	if len(marked) > 0 {
		s.to.Write(marked)
	}
}
