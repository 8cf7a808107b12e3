//! What SQLite's own errors mean for a caller.

use rusqlite::{Error, ErrorCode, ffi};

use crate::engine::EngineError;

/// A fault before or during a write that was rolled back, or of a read: nothing was changed.
pub fn fault(error: &Error) -> EngineError {
    match error {
        Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DiskFull => EngineError::Full,
            // The file that readers share with the writer could not grow.
            ErrorCode::SystemIoFailure if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE => EngineError::Full,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => EngineError::Corrupt(error.to_string()),
            ErrorCode::TooBig => EngineError::Limit(error.to_string()),
            _ => EngineError::Unavailable(error.to_string()),
        },
        Error::FromSqlConversionFailure(..) | Error::IntegralValueOutOfRange(..) | Error::InvalidColumnType(..) | Error::Utf8Error(..) => {
            EngineError::Corrupt(error.to_string())
        }
        _ => EngineError::Unavailable(error.to_string()),
    }
}

/// A fault of COMMIT. When the last sync failed, a power cut may still bring the change back, so it must not be called undone.
pub fn commit_fault(error: &Error) -> EngineError {
    match error {
        Error::SqliteFailure(failure, _) if matches!(failure.extended_code, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) => {
            EngineError::Unknown(error.to_string())
        }
        _ => fault(error),
    }
}
