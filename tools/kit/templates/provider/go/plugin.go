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

// One call.
type call struct {
	handle     C.tda_call
	httpStatus C.int32_t
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

func (c *call) emit(kind C.uint32_t, b []byte) {
	s, free := lend(b)
	defer free()
	C.tda_say(c.handle, kind, s.p, s.n)
}

func (c *call) finish(cls C.uint32_t) {
	C.tda_end(c.handle, cls, c.httpStatus)
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

func (c *call) takeStatus(status C.int32_t) {
	c.httpStatus = status
	if cls := classOf(status); cls != C.TDA_C_OK {
		c.finish(cls)
		return
	}
	c.emit(C.TDA_EV_PART_START, nil)
}

func (c *call) takeItem(data []byte) {
	var item struct {
		Text string `json:"text"`
		Done bool   `json:"done"`
	}
	if json.Unmarshal(data, &item) != nil {
		c.finish(C.TDA_C_PROTOCOL)
		return
	}
	if item.Text != "" {
		c.emit(C.TDA_EV_TEXT, []byte(item.Text))
	}
	if item.Done {
		c.emit(C.TDA_EV_PART_STOP, nil)
		c.emit(C.TDA_EV_STOP, nil)
		c.finish(C.TDA_C_OK)
	}
}

func classOf(status C.int32_t) C.uint32_t {
	switch {
	case status >= 200 && status <= 299:
		return C.TDA_C_OK
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

// After finish nothing comes any more.
//
//export goFlow
func goFlow(handle C.tda_call, kind C.uint32_t, status C.int32_t, cls C.uint32_t, data C.tda_str) {
	c := find(handle)
	if c == nil {
		return
	}
	switch kind {
	case C.TDA_FLOW_STATUS:
		c.takeStatus(status)
	case C.TDA_FLOW_ITEM:
		c.takeItem(text(data))
	case C.TDA_FLOW_END:
		c.finish(C.TDA_C_PROTOCOL) // without "done" it was cut off
	case C.TDA_FLOW_FAIL:
		c.finish(cls)
	}
}

//export goDrop
func goDrop(handle C.tda_call) {
	calls.Delete(handle)
}

func main() {}
