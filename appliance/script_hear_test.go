package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// hearTool is a program for scripts: hear -packets N [-from ADDR] listens to what is said
// to everybody on the local network by multicast DNS and prints one packet a line, from
// whom and every byte that is no letter escaped, until it has heard so many, from ADDR
// when that is given.
func hearTool() {
	set := flag.NewFlagSet("hear", flag.ExitOnError)
	packets := set.Int("packets", 1, "how many")
	from := set.String("from", "", "count those from this address")
	_ = set.Parse(os.Args[1:])
	interfaces, err := net.Interfaces()
	toolCheck(err)
	four, err := net.ListenPacket("udp4", "224.0.0.251:5353")
	toolCheck(err)
	six, err := net.ListenPacket("udp6", "[ff02::fb]:5353")
	toolCheck(err)
	joined := 0
	for _, i := range interfaces {
		if ipv4.NewPacketConn(four).JoinGroup(&i, &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251)}) == nil {
			joined++
		}
		_ = ipv6.NewPacketConn(six).JoinGroup(&i, &net.UDPAddr{IP: net.ParseIP("ff02::fb")})
	}
	if joined == 0 {
		toolCheck(fmt.Errorf("no network to listen to"))
	}
	var mu sync.Mutex
	listen := func(pc net.PacketConn) {
		b := make([]byte, 9000)
		for {
			n, at, err := pc.ReadFrom(b)
			toolCheck(err)
			host := at.(*net.UDPAddr).IP.String()
			mu.Lock()
			fmt.Println(host, strconv.QuoteToASCII(string(b[:n])))
			if *from == "" || host == *from {
				*packets--
			}
			if *packets <= 0 {
				os.Exit(0)
			}
			mu.Unlock()
		}
	}
	go listen(six)
	listen(four)
}
