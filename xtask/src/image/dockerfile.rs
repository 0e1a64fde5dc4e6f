//! How an image runs, read from the Dockerfile that makes the same one: written once, there.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::archive::Settings;

/// Reads the settings of a Dockerfile's last stage.
pub(super) fn read(path: &Path) -> Result<Settings> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    settings(&text).with_context(|| format!("cannot understand {}", path.display()))
}

fn settings(text: &str) -> Result<Settings> {
    let mut settings = Settings::default();
    for line in text.replace("\\\n", " ").lines() {
        let (instruction, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match instruction {
            "FROM" => settings = Settings::default(),
            "USER" => rest.clone_into(&mut settings.user),
            "WORKDIR" => rest.clone_into(&mut settings.folder),
            "ENTRYPOINT" => settings.entrypoint = words(rest)?,
            "CMD" => settings.command = words(rest)?,
            "EXPOSE" => settings.ports.push(rest.parse().with_context(|| format!("{rest} is no port"))?),
            "ENV" => {
                let variables = rest.split_whitespace();
                for variable in variables {
                    ensure!(variable.contains('=') && !variable.contains('"'), "ENV {variable} is not NAME=value");
                    settings.variables.push(variable.to_owned());
                }
            }
            _ => {}
        }
    }
    ensure!(!settings.entrypoint.is_empty(), "there is no ENTRYPOINT");
    Ok(settings)
}

fn words(list: &str) -> Result<Vec<String>> {
    serde_json::from_str(list).with_context(|| format!("{list} is no list of words"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stage_counts() {
        let text = "FROM a AS b\nENV X=1\nUSER 0\nFROM c\n# ENV Y=1\nWORKDIR /environment\nENV A=b C= D=e\nEXPOSE 8888\n\
                    USER 65532:0\nENTRYPOINT [\"php\", \"-d\", \\\n    \"x=0\"]\nCMD [\"y\"]\n";
        let expected = Settings {
            user: "65532:0".to_owned(),
            entrypoint: ["php", "-d", "x=0"].map(str::to_owned).to_vec(),
            command: vec!["y".to_owned()],
            variables: ["A=b", "C=", "D=e"].map(str::to_owned).to_vec(),
            ports: vec![8888],
            folder: "/environment".to_owned(),
        };
        assert_eq!(settings(text).expect("it is understood"), expected);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for text in ["FROM a\n", "ENTRYPOINT a b\n", "ENTRYPOINT [\"a\"]\nENV A b\n", "ENTRYPOINT [\"a\"]\nEXPOSE x\n"]
        {
            assert!(settings(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_dockerfile_of_the_tree_is_understood() {
        let root = crate::root().expect("the workspace has a root");
        for folder in std::fs::read_dir(root.join("environments")).expect("there are environments").flatten() {
            for name in ["Dockerfile", "Dockerfile.builder"] {
                let path = folder.path().join(name);
                if path.exists() {
                    let read = read(&path).expect("it is understood");
                    assert_eq!(read.user, "65532:0", "{}", path.display());
                }
            }
        }
    }
}
