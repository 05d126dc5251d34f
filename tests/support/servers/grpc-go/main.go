// One stream to a sidecar, driven by lines of JSON: each request on standard input is sent, and its response printed.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"asherah/tests/grpc/api"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(target string) error {
	limit := 65 * 1024 * 1024
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(limit), grpc.MaxCallSendMsgSize(limit)))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stream, err := api.NewAppEncryptionClient(connection).Session(ctx)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 256*1024*1024)
	for lines.Scan() {
		request := &api.SessionRequest{}
		if err := protojson.Unmarshal(lines.Bytes(), request); err != nil {
			return err
		}
		if err := stream.Send(request); err != nil {
			return err
		}
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		text, err := protojson.Marshal(response)
		if err != nil {
			return err
		}
		// protojson changes its white space from build to build on purpose.
		var members map[string]any
		if err := json.Unmarshal(text, &members); err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(members); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if _, err := stream.Recv(); err == nil || err.Error() != "EOF" {
		return fmt.Errorf("the stream did not end well: %v", err)
	}
	return lines.Err()
}
