package asl

// SetTask replaces a task, before anything is started.
func (s *Service) SetTask(resource string, t Task) { s.tasks[resource] = t }

// Task returns a task, to be wrapped.
func (s *Service) Task(resource string) Task { return s.tasks[resource] }

// StartResource is the resource of the task that starts an execution.
const StartResource = startExecution
