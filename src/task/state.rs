//! The states of a task, and every way from one to another.

/// `NSURLSessionTaskState`, with Apple's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum TaskState {
    Running = 0,
    Suspended = 1,
    Canceling = 2,
    Completed = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Never resumed.
    Created,
    /// A load is under way.
    Loading,
    /// The outcome is known; callbacks are still to come.
    Ending,
    Completed,
}

/// What a transition makes necessary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    /// Begin to load.
    Start,
    /// Stop what is under way, for now.
    Hold,
    /// Go on with it.
    Continue,
    /// Make the load end; it will say so.
    CancelLoad,
    /// No load is under way: the task ends here.
    End,
}

/// The state machine of a task.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    phase: Phase,
    suspensions: u32,
    cancelled: bool,
}

impl Machine {
    pub const fn new() -> Machine {
        Machine {
            phase: Phase::Created,
            suspensions: 1,
            cancelled: false,
        }
    }

    /// Of a task whose load is another's now.
    pub const fn completed() -> Machine {
        Machine {
            phase: Phase::Completed,
            suspensions: 0,
            cancelled: false,
        }
    }

    pub fn state(&self) -> TaskState {
        match self {
            Machine {
                phase: Phase::Completed,
                ..
            } => TaskState::Completed,
            Machine {
                cancelled: true, ..
            } => TaskState::Canceling,
            Machine {
                suspensions: 1.., ..
            } => TaskState::Suspended,
            _ => TaskState::Running,
        }
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    pub fn was_started(&self) -> bool {
        self.phase != Phase::Created
    }

    pub fn is_loading(&self) -> bool {
        self.phase == Phase::Loading
    }

    /// The last callback has begun.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Completed
    }

    /// Whether callbacks may be delivered now. A cancelled task is in a hurry to end.
    pub fn delivers(&self) -> bool {
        self.cancelled || self.suspensions == 0
    }

    fn is_settled(&self) -> bool {
        self.cancelled || self.phase == Phase::Completed
    }

    pub fn resume(&mut self) -> Effect {
        if self.is_settled() || self.suspensions == 0 {
            return Effect::Nothing;
        }
        self.suspensions -= 1;
        match self.phase {
            _ if self.suspensions > 0 => Effect::Nothing,
            Phase::Created => {
                self.phase = Phase::Loading;
                Effect::Start
            }
            Phase::Loading | Phase::Ending => Effect::Continue,
            Phase::Completed => Effect::Nothing,
        }
    }

    pub fn suspend(&mut self) -> Effect {
        if self.is_settled() {
            return Effect::Nothing;
        }
        self.suspensions = self.suspensions.saturating_add(1);
        if self.suspensions == 1 {
            Effect::Hold
        } else {
            Effect::Nothing
        }
    }

    pub fn cancel(&mut self) -> Effect {
        if self.is_settled() {
            return Effect::Nothing;
        }
        self.cancelled = true;
        match self.phase {
            Phase::Created => {
                self.phase = Phase::Ending;
                Effect::End
            }
            Phase::Loading => Effect::CancelLoad,
            Phase::Ending => Effect::Continue,
            Phase::Completed => Effect::Nothing,
        }
    }

    /// The outcome is known. False when one was known already: the first one counts.
    pub fn end(&mut self) -> bool {
        let loading = self.phase == Phase::Loading;
        if loading {
            self.phase = Phase::Ending;
        }
        loading
    }

    /// The last callback comes next. False when it came before.
    pub fn complete(&mut self) -> bool {
        let ending = self.phase == Phase::Ending;
        if ending {
            self.phase = Phase::Completed;
        }
        ending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspensions_nest() {
        let mut machine = Machine::new();
        assert_eq!(machine.state(), TaskState::Suspended);
        assert_eq!(machine.suspend(), Effect::Nothing);
        assert_eq!(machine.resume(), Effect::Nothing);
        assert_eq!(machine.resume(), Effect::Start);
        assert_eq!(machine.resume(), Effect::Nothing);
        assert_eq!(machine.state(), TaskState::Running);
        assert_eq!(machine.suspend(), Effect::Hold);
        assert_eq!(machine.suspend(), Effect::Nothing);
        assert!(!machine.delivers());
        assert_eq!(machine.resume(), Effect::Nothing);
        assert_eq!(machine.resume(), Effect::Continue);
        assert!(machine.delivers());
    }

    #[test]
    fn a_task_ends_once() {
        let mut machine = Machine::new();
        machine.resume();
        assert!(machine.end() && !machine.end());
        assert_eq!(machine.cancel(), Effect::Continue);
        assert_eq!(machine.state(), TaskState::Canceling);
        assert!(machine.complete() && !machine.complete());
        assert_eq!(machine.state(), TaskState::Completed);
        assert_eq!(
            (machine.cancel(), machine.suspend(), machine.resume()),
            (Effect::Nothing, Effect::Nothing, Effect::Nothing)
        );
        assert_eq!(machine.state(), TaskState::Completed);
    }

    #[test]
    fn a_task_that_never_ran_ends_when_it_is_cancelled() {
        let mut machine = Machine::new();
        assert_eq!(machine.cancel(), Effect::End);
        assert_eq!(machine.cancel(), Effect::Nothing);
        assert_eq!(machine.resume(), Effect::Nothing);
        assert!(machine.delivers() && !machine.end() && machine.complete());
    }

    #[test]
    fn cancelling_ends_a_load_even_when_suspended() {
        let mut machine = Machine::new();
        machine.resume();
        machine.suspend();
        assert_eq!(machine.cancel(), Effect::CancelLoad);
        assert!(machine.delivers());
        assert_eq!(machine.state(), TaskState::Canceling);
    }
}
