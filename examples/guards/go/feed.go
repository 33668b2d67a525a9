package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	staleAfter   = 5 * time.Second // The hub says each second that nothing is missing.
	silenceMax   = 10 * time.Second
	walletsMax   = 100_000
	eventLineMax = 65_536
	answerMax    = 65_536
)

// State is what counts for a wallet now.
type State struct {
	Status string `json:"status"`
	Score  int    `json:"trust_score"`
	Reason any    `json:"reason"`
}

// TrustFeed is kept up to date by the hub's server-sent events.
type TrustFeed struct {
	api, apiKey string
	client      http.Client
	lock        sync.Mutex
	known       map[string]*State // by identity; nil while it is asked for
	vouched     time.Time
	lastID      string
}

// NewTrustFeed returns a feed; run Follow.
func NewTrustFeed(api, apiKey string) *TrustFeed {
	return &TrustFeed{api: api, apiKey: apiKey, known: map[string]*State{}}
}

// Get returns what counts for a wallet; false when nobody can tell, which must refuse.
func (f *TrustFeed) Get(identity string) (State, bool) {
	f.lock.Lock()
	state, fresh := f.known[identity], f.isFresh()
	if state == nil && fresh {
		if len(f.known) >= walletsMax {
			f.known = map[string]*State{} // They are asked for again as they come.
		}
		f.known[identity] = nil
	}
	f.lock.Unlock()
	if !fresh {
		return State{}, false
	}
	if state != nil {
		return *state, true
	}
	told, ok := f.ask(identity)
	f.lock.Lock()
	defer f.lock.Unlock()
	// A change that came meanwhile is newer than the answer.
	if pushed := f.known[identity]; pushed != nil {
		return *pushed, f.isFresh()
	}
	if !ok || told.Reason == "unavailable" {
		delete(f.known, identity)
		return State{}, false
	}
	if _, asked := f.known[identity]; asked {
		f.known[identity] = &told
	}
	return told, f.isFresh()
}

func (f *TrustFeed) isFresh() bool { return time.Since(f.vouched) < staleAfter }

func (f *TrustFeed) ask(identity string) (State, bool) {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Do(f.request("/status/" + identity))
	if err != nil {
		return State{}, false
	}
	defer answer.Body.Close()
	var state State
	err = json.NewDecoder(io.LimitReader(answer.Body, answerMax)).Decode(&state)
	return state, err == nil && answer.StatusCode == http.StatusOK
}

func (f *TrustFeed) request(path string) *http.Request {
	request, err := http.NewRequest(http.MethodGet, f.api+path, nil)
	if err != nil {
		log.Fatal(err) // The hub's address is no URL.
	}
	request.Header.Set("Authorization", "Bearer "+f.apiKey)
	return request
}

// Follow reads the hub's stream for ever, and goes on where it was.
func (f *TrustFeed) Follow() {
	for {
		if err := f.read(); err != nil {
			log.Print("trust feed: ", err)
		}
		time.Sleep(250*time.Millisecond + time.Duration(rand.Int63n(int64(500*time.Millisecond))))
	}
}

func (f *TrustFeed) read() error {
	request := f.request("/trust/stream")
	if f.lastID != "" {
		request.Header.Set("Last-Event-ID", f.lastID)
	}
	answer, err := f.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the hub answers %s", answer.Status)
	}
	// A connection that died silently ends like one that was closed.
	watchdog := time.AfterFunc(silenceMax, func() { answer.Body.Close() })
	defer watchdog.Stop()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 4_096), eventLineMax)
	fields := map[string]string{}
	for lines.Scan() {
		watchdog.Reset(silenceMax)
		if name, value, found := strings.Cut(lines.Text(), ": "); found {
			fields[name] = value
		} else if len(fields) > 0 {
			f.take(fields)
			fields = map[string]string{}
		}
	}
	return lines.Err()
}

func (f *TrustFeed) take(fields map[string]string) {
	var data struct {
		State
		Wallet     string `json:"wallet"`
		Recovered  bool   `json:"recovered"`
		BackboneOK bool   `json:"backbone_ok"`
	}
	if json.Unmarshal([]byte(fields["data"]), &data) != nil {
		return
	}
	f.lock.Lock()
	defer f.lock.Unlock()
	switch fields["event"] {
	case "trust":
		if _, known := f.known[data.Wallet]; known {
			state := data.State
			f.known[data.Wallet] = &state
		}
	case "checkpoint":
		f.vouched = time.Time{}
		if data.BackboneOK {
			f.vouched = time.Now()
		}
	case "begin", "gap":
		if !data.Recovered {
			f.known = map[string]*State{} // What was missed can't be had: all are asked for again.
		}
	}
	if id := fields["id"]; id != "" {
		f.lastID = id
	}
}
