// Talks to the SSH agent at SSH_AUTH_SOCK from inside a build step, and prints what it may do.
//
// usage: probe STREAMS [refused]: that many connections at once, each lists the keys twice and has the first one sign;
// with the second word one connection then asks for what must be refused.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
)

func ask(conn net.Conn, request []byte) []byte {
	message := binary.BigEndian.AppendUint32(nil, uint32(len(request)))
	if _, err := conn.Write(append(message, request...)); err != nil {
		return nil
	}
	var length [4]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil
	}
	answer := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil
	}
	return answer
}

func dial() net.Conn {
	conn, err := net.Dial("unix", os.Getenv("SSH_AUTH_SOCK"))
	if err != nil {
		fmt.Println("cannot connect")
		os.Exit(1)
	}
	return conn
}

func text(data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
}

func main() {
	streams, _ := strconv.Atoi(os.Args[1])
	var open, done sync.WaitGroup
	var lock sync.Mutex
	kinds := map[string]int{}
	open.Add(streams)
	done.Add(streams)
	for range streams {
		go func() {
			defer done.Done()
			conn := dial()
			defer conn.Close()
			list := ask(conn, []byte{11})
			// All are open before any goes on.
			open.Done()
			open.Wait()
			again := ask(conn, []byte{11})
			said := "no keys"
			if len(list) > 9 && string(list) == string(again) {
				key := list[9 : 9+binary.BigEndian.Uint32(list[5:9])]
				request := append(append([]byte{13}, text(key)...), text([]byte("data"))...)
				var flags byte
				if bytes.Contains(key, []byte("ssh-rsa")) {
					flags = 2 // SHA-256
				}
				signed := ask(conn, append(request, 0, 0, 0, flags))
				if len(signed) > 13 {
					size := binary.BigEndian.Uint32(signed[5:9])
					said = fmt.Sprintf("%d keys, signed by %s", list[4], signed[9:9+size])
				}
			}
			lock.Lock()
			kinds[said]++
			lock.Unlock()
		}()
	}
	done.Wait()
	for said, count := range kinds {
		fmt.Printf("%d streams: %s\n", count, said)
	}
	if len(os.Args) < 3 {
		return
	}
	conn := dial()
	refused := 0
	for _, kind := range []byte{17, 18, 19, 20, 21, 22, 25, 26} {
		if answer := ask(conn, append([]byte{kind}, text([]byte("x"))...)); len(answer) == 1 && answer[0] == 5 {
			refused++
		}
	}
	fmt.Printf("%d requests refused\n", refused)
}
