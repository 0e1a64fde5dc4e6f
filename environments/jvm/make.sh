#!/bin/sh
# Builds the server in the prepared folder, where this is run: make.sh JAVA.
set -eu

java=$1
bin=$(dirname "$java")
fail() { echo "jvm environment: $*" >&2; exit 1; }
compile() { "$java" -m jdk.compiler/com.sun.tools.javac.Main -encoding UTF-8 -g -nowarn -XDignore.symbol.file "$@"; }
pack() { "$java" -m jdk.jartool/sun.tools.jar.Main --create --file "$@"; }
flags="-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xlog:disable"

# Java takes an account's home for the user's, which may be none.
[ -z "${HOME-}" ] || export MAVEN_OPTS="-Duser.home=$HOME ${MAVEN_OPTS-}"
mkdir out
# Types of Spring for functions written for Fission's own environment. Without Maven or a network all others work.
if ! command -v mvn >/dev/null; then
	echo 'mvn was not on this machine (Debian: apt-get install -y maven). Remove its prepared folder to try again.' >without-spring
elif ! mvn -B -q -f spring/pom.xml dependency:copy-dependencies -DoutputDirectory="$PWD/lib" >mvn.log 2>&1; then
	{ grep -m 1 ERROR mvn.log || echo 'mvn failed.'; echo 'Remove its prepared folder to try again.'; } >without-spring
elif ! (cd lib && sha256sum -c --quiet ../spring/sha256) >&2; then
	fail 'what Maven fetched is not what spring/sha256 names'
fi
rm -f mvn.log

classpath=
compile -d out api/*.java server/*.java
if [ ! -f without-spring ]; then
	classpath=$(printf ' %s' lib/*.jar)
	compile -cp "out$(printf ':%s' lib/*.jar)" -d out spring/*.java
fi
# Said here, as the same on the command line would cost a part of the archive.
{
	echo 'Main-Class: io.fission.server.Main'
	[ -z "$classpath" ] || echo "Class-Path:$classpath"
	echo 'Add-Opens: java.base/java.lang java.base/java.util'
} >manifest
"$java" -m jdk.jartool/sun.tools.jar.Main --create --file fission.jar --manifest manifest -C out .
mkdir out-warm
compile -cp fission.jar -d out-warm warm/Warm.java
pack warm.jar -C out-warm Warm.class
if [ ! -f without-spring ]; then
	compile -cp fission.jar -d out-warm warm/WarmSpring.java
	pack warm-spring.jar -C out-warm WarmSpring.class
fi
rm -r out out-warm manifest

# The archive knows jars by their times too; in an image nothing has one.
touch -d @0 -- *.jar
[ -f without-spring ] || touch -d @0 lib/*.jar
# Classes as they are in memory, so that none is read and checked again. What cannot be made is done without.
# shellcheck disable=SC2086
JVM_OPTS= sh start "$java" -XX:ArchiveClassesAtExit=server.jsa warm >&2 || fail 'the server does not run'
mkdir out
"$java" $flags -XX:ArchiveClassesAtExit=javac.jsa -m jdk.compiler/com.sun.tools.javac.Main -d out -cp fission.jar warm/Warm.java >&2 || :
rm -r out
