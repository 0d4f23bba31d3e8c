// @NAME@: a provider of models, in Go. The service of this example is asked with POST BASE_URL/generate and answers as a stream of
// events: {"text": "Hel"}, {"text": "lo"}, {"done": true}. Put your service's words in their place. No panic may cross the line.
//
// Go's runtime brings threads of its own: at most one such plugin in a daemon.
package main

/*
#cgo pkg-config: tda-plugin
#include "shim.h"
*/
import "C"

import (
	"encoding/json"
	"sync"
	"unsafe"
)

const textMax = 1 << 20

const (
	sayBegin = iota
	sayText
	sayPartStop
	sayStop
	said
)

// One call. step is what is said next: an event that the host cannot take now is said later.
type call struct {
	handle     C.tda_call
	step       int
	ended      bool
	httpStatus C.int32_t
	cls        C.uint32_t
	text       []byte
	saidBytes  int
}

// Calls of all loops; each is used on its own loop only.
var calls sync.Map

func find(handle C.tda_call) *call {
	if c, ok := calls.Load(handle); ok {
		return c.(*call)
	}
	return nil
}

// Borrowed text, copied.
func text(s C.tda_str) []byte {
	return C.GoBytes(unsafe.Pointer(s.p), C.int(s.n))
}

// Lends bytes of Go's to the host for one call.
func lend(b []byte) (C.tda_str, func()) {
	p := C.CBytes(b)
	return C.tda_str{p: (*C.char)(p), n: C.size_t(len(b))}, func() { C.free(p) }
}

func (c *call) emit(kind C.uint32_t, b []byte) C.int32_t {
	s, free := lend(b)
	defer free()
	return C.tda_say(c.handle, kind, s.p, s.n)
}

func (c *call) finish(cls C.uint32_t) {
	c.step = said
	C.tda_end(c.handle, cls, c.httpStatus)
}

func (c *call) end(cls C.uint32_t) {
	if !c.ended {
		c.cls = cls
	}
	c.ended = true
}

func (c *call) sayNext() C.int32_t {
	switch c.step {
	case sayBegin:
		return c.emit(C.TDA_EV_PART_START, nil)
	case sayText:
		if c.saidBytes == len(c.text) {
			return C.TDA_OK
		}
		return c.emit(C.TDA_EV_TEXT, c.text[c.saidBytes:])
	case sayPartStop:
		return c.emit(C.TDA_EV_PART_STOP, nil)
	}
	return c.emit(C.TDA_EV_STOP, nil)
}

// Says what there is to say, as far as the host takes it.
func (c *call) goOn() {
	for c.step < said {
		allSaid := c.saidBytes == len(c.text)
		if !c.ended && allSaid {
			return // more is to come
		}
		if c.cls != C.TDA_C_OK && allSaid {
			break
		}
		switch c.sayNext() {
		case C.TDA_OK:
		case C.TDA_E_AGAIN:
			return
		default:
			c.finish(C.TDA_C_INTERNAL)
			return
		}
		if c.step == sayText {
			c.saidBytes = len(c.text)
		}
		if c.step != sayText || c.ended {
			c.step++
		}
	}
	c.finish(c.cls)
}

func (c *call) open(model, prompt []byte) C.int32_t {
	base := C.tda_base_url(c.handle)
	url, freeURL := lend(append(text(base), "/generate"...))
	defer freeURL()
	encoded, err := json.Marshal(struct {
		Model  string `json:"model"`
		Prompt string `json:"prompt"`
	}{string(model), string(prompt)})
	if err != nil {
		return C.TDA_E_INVALID
	}
	body, freeBody := lend(encoded)
	defer freeBody()
	return C.tda_open(c.handle, url, body)
}

func (c *call) take(data []byte) {
	var item struct {
		Text string `json:"text"`
		Done bool   `json:"done"`
	}
	if json.Unmarshal(data, &item) != nil {
		c.end(C.TDA_C_PROTOCOL)
		return
	}
	if len(item.Text) > textMax-len(c.text) {
		c.end(C.TDA_C_TOO_LARGE)
		return
	}
	c.text = append(c.text, item.Text...)
	if item.Done {
		c.end(C.TDA_C_OK)
	}
}

func classOf(status C.int32_t) C.uint32_t {
	switch {
	case status == 401:
		return C.TDA_C_AUTH
	case status == 403:
		return C.TDA_C_PERMISSION
	case status == 404:
		return C.TDA_C_NOT_FOUND
	case status == 429:
		return C.TDA_C_RATE
	case status >= 500:
		return C.TDA_C_UPSTREAM
	}
	return C.TDA_C_REQUEST
}

//export goStart
func goStart(handle C.tda_call, op C.uint32_t, model, prompt C.tda_str) {
	c := &call{handle: handle}
	calls.Store(handle, c)
	if (op != C.TDA_OP_CHAT && op != C.TDA_OP_VALIDATE) || c.open(text(model), text(prompt)) != C.TDA_OK {
		c.finish(C.TDA_C_REQUEST)
	}
}

//export goFlow
func goFlow(handle C.tda_call, kind C.uint32_t, status C.int32_t, cls C.uint32_t, data C.tda_str) {
	c := find(handle)
	if c == nil || c.ended {
		return
	}
	switch kind {
	case C.TDA_FLOW_STATUS:
		c.httpStatus = status
		if status < 200 || status > 299 {
			c.end(classOf(status))
		}
	case C.TDA_FLOW_ITEM:
		c.take(text(data))
	case C.TDA_FLOW_END:
		c.end(C.TDA_C_PROTOCOL) // without "done" it was cut off
	case C.TDA_FLOW_FAIL:
		c.end(cls)
	}
	c.goOn()
}

//export goDrained
func goDrained(handle C.tda_call) {
	if c := find(handle); c != nil {
		c.goOn()
	}
}

//export goDrop
func goDrop(handle C.tda_call) {
	calls.Delete(handle)
}

func main() {}
