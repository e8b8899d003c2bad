//! What a helper program is to do.

/// Words of a line, or, where one has spaces in it, a list of them.
pub trait Script {
    /// They.
    fn words(&self) -> Vec<String>;
}

impl Script for str {
    fn words(&self) -> Vec<String> {
        self.split_ascii_whitespace().map(str::to_owned).collect()
    }
}

impl Script for String {
    fn words(&self) -> Vec<String> {
        self.as_str().words()
    }
}

impl<S: AsRef<str>> Script for [S] {
    fn words(&self) -> Vec<String> {
        self.iter().map(|word| word.as_ref().to_owned()).collect()
    }
}

impl<S: AsRef<str>, const N: usize> Script for [S; N] {
    fn words(&self) -> Vec<String> {
        self.as_slice().words()
    }
}

impl<S: AsRef<str>> Script for Vec<S> {
    fn words(&self) -> Vec<String> {
        self.as_slice().words()
    }
}

impl<T: Script + ?Sized> Script for &T {
    fn words(&self) -> Vec<String> {
        (**self).words()
    }
}
