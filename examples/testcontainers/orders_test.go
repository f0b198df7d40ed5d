package orders

import (
	"context"
	"testing"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/kafka"
)

func TestOrders(t *testing.T) {
	ctx := context.Background()
	container, err := kafka.Run(ctx, "pykbroker", kafka.WithClusterID("orders"))
	testcontainers.CleanupContainer(t, container)
	if err != nil {
		t.Fatal(err)
	}
	brokers, err := container.Brokers(ctx)
	if err != nil || len(brokers) != 1 {
		t.Fatal(brokers, err)
	}
}
