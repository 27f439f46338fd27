package settings

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
)

// Proxy returns EgressProxy, nil if there is none. The error does not quote it: it may
// have a password.
func (s *Settings) Proxy() (*url.URL, error) {
	if s.EgressProxy == "" {
		return nil, nil
	}
	u, err := url.Parse(s.EgressProxy)
	if err == nil {
		err = checkProxy(u)
	} else {
		err = errors.New("it is not a URL")
	}
	if err != nil {
		return nil, fmt.Errorf("SLUICE_EGRESS_PROXY must be http://host:port, such as http://proxy.example.com:3128; %w", err)
	}
	return &url.URL{Scheme: "http", Host: u.Host}, nil
}

func checkProxy(u *url.URL) error {
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case u.Scheme != "http":
		return errors.New("it does not begin with http://")
	case u.User != nil:
		return errors.New("it has a user; a proxy that asks for credentials is not supported")
	case u.Hostname() == "":
		return errors.New("it has no host")
	case err != nil || port == 0:
		return errors.New("it has no valid port")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("it has more than a host and a port")
	}
	return nil
}
