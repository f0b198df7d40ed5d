package line

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Config is the settings of a handle. A setting that nobody asks for is UNSUPPORTED.
type Config struct {
	values map[string]json.RawMessage
	asked  map[string]bool
	err    error
}

// Config reads the command's settings.
func (c *Command) Config() (*Config, error) {
	var fields struct {
		Config map[string]json.RawMessage `json:"config"`
	}
	if err := c.Read(&fields); err != nil {
		return nil, err
	}
	for name, value := range fields.Config {
		if string(value) == "null" {
			delete(fields.Config, name)
		}
	}
	return &Config{values: fields.Config, asked: map[string]bool{}}, nil
}

func value[T any](c *Config, name string) (T, bool) {
	var into T
	c.asked[name] = true
	text, ok := c.values[name]
	if !ok {
		return into, false
	}
	if err := json.Unmarshal(text, &into); err != nil {
		c.Refuse(BadCommand("%s: %v", name, err))
		return into, false
	}
	return into, true
}

// Refuse makes Check fail with the first error that was given.
func (c *Config) Refuse(err error) {
	if c.err == nil {
		c.err = err
	}
}

// Has says whether a setting is named; it still has to be read.
func (c *Config) Has(name string) bool { _, ok := c.values[name]; return ok }

// String, Int, Bool and Millis give a setting, and whether it is named at all.
func (c *Config) String(name string) (string, bool) { return value[string](c, name) }
func (c *Config) Int(name string) (int, bool)       { return value[int](c, name) }
func (c *Config) Bool(name string) (bool, bool)     { return value[bool](c, name) }

// Millis is a duration, told in milliseconds.
func (c *Config) Millis(name string) (time.Duration, bool) {
	number, ok := value[float64](c, name)
	return time.Duration(number * float64(time.Millisecond)), ok
}

// Choice is a setting that has one of the words this client knows.
func Choice[T any](c *Config, name string, words map[string]T) (T, bool) {
	var none T
	word, ok := c.String(name)
	if !ok {
		return none, false
	}
	chosen, known := words[word]
	if !known {
		c.Refuse(Unsupported("%s %q", name, word))
	}
	return chosen, known
}

// Bootstrap is the list of addresses to begin with.
func (c *Config) Bootstrap() []string {
	text, ok := c.String("bootstrap")
	if !ok {
		c.Refuse(BadCommand("no bootstrap"))
	}
	return strings.Split(text, ",")
}

// Check fails when a setting was wrong, or is none that this client has.
func (c *Config) Check() error {
	if c.err != nil {
		return c.err
	}
	var left []string
	for name := range c.values {
		if !c.asked[name] {
			left = append(left, name)
		}
	}
	if len(left) > 0 {
		slices.Sort(left)
		return Unsupported("settings: %s", strings.Join(left, ", "))
	}
	return nil
}
