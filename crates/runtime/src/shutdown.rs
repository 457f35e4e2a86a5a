//! One cancellation tree and the tasks under it: stop accepting, finish in flight, within a time.

use std::{future::Future, time::Duration};

use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFuture},
    task::TaskTracker,
};

/// How long a drain may take.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A node of the cancellation tree, with the tasks it owns. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// The root of a tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// The root of a tree that SIGTERM and SIGINT cancel.
    pub fn on_signal() -> Self {
        let shutdown = Self::new();
        let token = shutdown.token.clone();
        shutdown.spawn(async move {
            tokio::select! {
                () = signalled() => token.cancel(),
                () = token.cancelled() => {}
            }
        });
        shutdown
    }

    /// A node below this one: cancelled with it, or alone; its tasks belong to this tree.
    pub fn child(&self) -> Self {
        Self {
            token: self.token.child_token(),
            tasks: self.tasks.clone(),
        }
    }

    /// Runs a task that this tree owns.
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Runs a task until it ends or the tree is cancelled.
    pub fn spawn_until_cancelled<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.token.clone();
        self.tasks.spawn(async move {
            token.run_until_cancelled(task).await;
        });
    }

    /// Asks everything below to stop.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Whether it was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until it is asked to stop.
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    /// Asks everything to stop and waits for the tasks, [`DRAIN_TIMEOUT`] at most. Answers whether all ended.
    pub async fn drain(&self) -> bool {
        self.token.cancel();
        self.tasks.close();
        tokio::time::timeout(DRAIN_TIMEOUT, self.tasks.wait())
            .await
            .is_ok()
    }
}

async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        // Without handlers the signals' default action ends the process: nothing to wait for.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn draining_waits_for_the_tasks_of_children() {
        let root = Shutdown::new();
        let child = root.child();
        let task = root.child();
        child.spawn(async move {
            task.cancelled().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        });
        assert!(root.drain().await);
        assert!(child.is_cancelled());
    }
}
