// rpc_xinet.go answers the methods about proxies, xinet.*.

//go:build !windows

package main

import "encoding/json"

func doXinetCreate(q *rpcCall) (any, error) { return q.putProxy(false) }

func doXinetRegister(q *rpcCall) (any, error) { return q.putProxy(true) }

// putProxy reads the parameter config, with the section [xinet] as in the file or with its keys only, and makes that proxy.
func (q *rpcCall) putProxy(replace bool) (any, error) {
	_, text := q.raw("config")
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		return nil, q.wrong("config", "%v", err)
	}
	section := func(name string) bool { _, there := keys[name]; return there }
	switch {
	case section(string(unitService)) && string(keys[string(unitService)])[0] == '{', section(string(unitTarget)):
		return nil, configError([]problem{{Message: "this is no proxy: use service.create"}})
	case !section(string(unitXinet)):
		text = appendJSON(nil, map[string]json.RawMessage{string(unitXinet): text})
	}
	c, errs, _ := parseJSON(text)
	if len(errs) > 0 {
		return nil, configError(errs)
	}
	q.server().configs.Lock()
	defer q.server().configs.Unlock()
	return okResult{true}, q.core().putProxy(c, replace)
}

func doXinetDelete(q *rpcCall) (any, error) {
	q.server().configs.Lock()
	defer q.server().configs.Unlock()
	return okResult{true}, q.core().deleteProxy(q.str("name"))
}

func doXinetGet(q *rpcCall) (any, error) {
	c, err := q.core().proxyConfig(q.str("name"))
	if err != nil {
		return nil, err
	}
	return configValue(c.value()), nil
}

func doXinetList(q *rpcCall) (any, error) { return listed(q.core().proxyNames()), nil }

func doXinetStatus(q *rpcCall) (any, error) {
	st, err := q.core().proxyStatus(q.str("name"))
	if err != nil {
		return nil, err
	}
	return st, nil
}

func doXinetStatusAll(q *rpcCall) (any, error) {
	all := []xinetStatus{}
	for _, name := range q.core().proxyNames() {
		if st, err := q.core().proxyStatus(name); err == nil {
			all = append(all, st)
		}
	}
	return all, nil
}
