package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	startWithin  = 2 * time.Second
	startLog     = 10 << 30 // bytes of events
	startEntries = 4_000_000
)

// measureStart measures how soon a node with many integrations, a large log and many
// log entries serves: after a clean end, and after a kill while it is published to.
func (b *bench) measureStart(ctx context.Context) error {
	n, err := b.startNode(ctx)
	if err != nil {
		return err
	}
	defer n.close()
	c, err := newCrowd(ctx, n, b.tenants)
	if c != nil {
		defer c.end()
	}
	if err != nil {
		return err
	}
	b.say("start: registered %d integrations", c.size())
	if err := c.publish(ctx, 1); err != nil {
		return err
	}
	if err := b.fillLog(ctx, n); err != nil {
		return err
	}
	n.end()
	if err := b.fillEntries(ctx, n, c); err != nil {
		return err
	}
	clean, err := n.serving(ctx)
	if err != nil {
		return err
	}
	b.say("start: serving %.2f s after a clean end", clean.Seconds())
	if err := c.publish(ctx, 1); err != nil {
		return err
	}
	if err := n.cmd.Process.Kill(); err != nil {
		return err
	}
	<-n.exited
	killed, err := n.serving(ctx)
	if err != nil {
		return err
	}
	b.say("start: serving %.2f s after a kill", killed.Seconds())
	return b.reportStart(ctx, n, c, clean, killed)
}

// reportStart reports how long the node took to serve, and the size of what it had.
func (b *bench) reportStart(ctx context.Context, n *node, c *crowd, clean, killed time.Duration) error {
	info, err := os.Stat(n.database())
	if err != nil {
		return err
	}
	scraped, err := scrapeSize(ctx, n.url)
	if err != nil {
		return err
	}
	b.report.add(fmt.Sprintf("%d integrations: size of /metrics", c.size()), "", fmt.Sprintf("%.1f KiB", float64(scraped)/1024), nothing)
	what := fmt.Sprintf("%d integrations, a database of %.1f GB, %d log entries: until the node serves, ", c.size(), float64(info.Size())/1e9, b.fewer(startEntries))
	b.report.add(what+"after a clean end", "≤ 2 s", fmt.Sprintf("%.2f s", clean.Seconds()), metIf(clean <= startWithin))
	b.report.add(what+"after a kill while it is published to", "≤ 2 s", fmt.Sprintf("%.2f s", killed.Seconds()), metIf(killed <= startWithin))
	return nil
}

func (n *node) database() string { return filepath.Join(n.dir, "data", "sluice.db") }

// serving starts the node and returns how long it took until it responded.
func (n *node) serving(ctx context.Context) (time.Duration, error) {
	started := time.Now()
	err := n.run(ctx)
	return time.Since(started), err
}

func scrapeSize(ctx context.Context, at string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/metrics", http.NoBody)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	return io.Copy(io.Discard, res.Body)
}

// fewer returns n, or a tenth of it in a short run.
func (b *bench) fewer(n int) int {
	if b.short {
		return n / 10
	}
	return n
}

// fillLog publishes events that compress badly.
func (b *bench) fillLog(ctx context.Context, n *node) error {
	token, err := n.token("archive")
	if err != nil {
		return err
	}
	random := make([]byte, 3_700)
	var lines []string
	for range 1000 {
		_, _ = rand.Read(random) // never fails
		lines = append(lines, `{"name":"order.created","payload":{"text":"`+base64.StdEncoding.EncodeToString(random)+`"}}`)
	}
	body := []byte(`{"events":[` + strings.Join(lines, ",") + `]}`)
	client := &http.Client{Timeout: time.Minute}
	for written, said := 0, time.Now(); written < b.fewer(startLog); {
		switch status := publishBody(ctx, client, n.url, token, body); status {
		case http.StatusAccepted:
			written += len(body)
		case http.StatusServiceUnavailable:
			if err := sleep(ctx, refusedWait); err != nil {
				return err
			}
		default:
			return fmt.Errorf("a publish got the status %d", status)
		}
		if time.Since(said) > 30*time.Second {
			said = time.Now()
			b.say("start: published %s of %s", mib(int64(written)), mib(int64(b.fewer(startLog))))
		}
	}
	return nil
}

// fillEntries adds log entries to the integrations of a crowd, in the database of a node
// that has ended.
func (b *bench) fillEntries(ctx context.Context, n *node, c *crowd) error {
	db, err := sql.Open("sqlite", n.database())
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
		INSERT INTO entries (tenant, integration, incarnation, created_at, data)
		SELECT 'crowd-' || (i % ?), 'hook-' || (i / ? % ?), 1, ? + i, zeroblob(150) FROM n`,
		b.fewer(startEntries), c.tenants, c.tenants, eachOfCrowd, time.Now().UnixNano())
	if err != nil {
		return fmt.Errorf("log entries cannot be added: %w", err)
	}
	b.say("start: added %d log entries", b.fewer(startEntries))
	return db.Close()
}
