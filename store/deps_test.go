package store_test

import (
	_ "github.com/stretchr/testify/require"
	_ "github.com/stripe/stripe-go/v76"
)
