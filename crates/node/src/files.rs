//! The data folder: files that only their owner reads, replaced as a whole or not at all.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::error::Error;

/// Where a node keeps what it is and what it carried.
#[derive(Debug, Clone)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    /// Opens the folder, and makes it when there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let fail = |source| Error::File {
            path: path.to_owned(),
            source,
        };
        make_private(path).map_err(fail)?;
        Ok(Self(path.to_owned()))
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Reads a file; `None` when there is none.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, Error> {
        match fs::read_to_string(self.file(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::File {
                path: self.file(name),
                source,
            }),
        }
    }

    /// Writes a file: whoever looks sees the old one or the new one, also after a loss of power.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        let (path, fresh) = (self.file(name), self.file(&format!("{name}.new")));
        let write = || {
            // What a crash left there may belong to somebody else's rights.
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&fresh)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.0).and_then(|folder| folder.sync_all())
        };
        write().map_err(|source| Error::File { path, source })
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, name: &str) {
        if let Err(error) = fs::remove_file(self.file(name))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, name, "file stays");
        }
    }

    /// When a file was changed.
    pub(crate) fn changed_at(&self, name: &str) -> Option<std::time::SystemTime> {
        fs::metadata(self.file(name))
            .and_then(|m| m.modified())
            .ok()
    }

    /// Takes the folder for one running node, for as long as the answer lives.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        let path = self.file("node.lock");
        let fail = |source| Error::File {
            path: path.clone(),
            source,
        };
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false);
        let file = private(options).open(&path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Error::Running(self.0.clone())),
            Err(TryLockError::Error(error)) => Err(fail(error)),
        }
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_private_and_replaced_whole() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("a/b")).unwrap();
        assert_eq!(data.read("x").unwrap(), None);
        fs::write(data.file("x.new"), "left over").unwrap();
        data.write("x", b"one").unwrap();
        data.write("x", b"two").unwrap();
        assert_eq!(data.read("x").unwrap().as_deref(), Some("two"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&data.file("x")), mode(data.path())), (0o600, 0o700));
        data.remove("x");
        data.remove("x");
        assert_eq!(data.read("x").unwrap(), None);
    }

    #[test]
    fn one_node_runs_with_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let held = data.lock().unwrap();
        assert!(matches!(data.lock(), Err(Error::Running(_))));
        drop(held);
        assert!(data.lock().is_ok());
    }
}
