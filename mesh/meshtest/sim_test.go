package meshtest

import (
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/waypost/waypost/appliance/oplog/oplogtest"
)

func TestFirst(t *testing.T) {
	for range 2 {
		t.Run("", func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, 7)
			c := NewCamp(7, oplogtest.Noon(), nil)
			if testing.Verbose() && false {
				c.tell = t.Logf
			}
			posts := found(t, c, 10)
			took, ok := c.Until(2*time.Minute, 100*time.Millisecond, func() bool { return same(posts) })
			t.Log(took, ok, c.Steps(), c.Sent())
			for range 20 {
				posts[c.Rand().IntN(len(posts))].add()
				c.Run(time.Second)
			}
			took, ok = c.Until(2*time.Minute, 100*time.Millisecond, func() bool { return same(posts) })
			t.Log(took, ok, c.Steps(), c.Sent(), c.Trace())
		})
	}
}
