package Fission::Code;

# From code and an entry point to something that can be called.

use strict;
use warnings;

use Cwd ();
use File::Find ();
use Scalar::Util qw(blessed reftype);
use lib ();
use overload ();

# What a file of a function may be called, in the order they are tried.
my @ENDINGS = ('', '.pl', '.pm', '.psgi');
# The file of a folder with several where no entry point was given.
my @MAIN = qw(main.pl main.pm handler.pl app.psgi);
# Names shown to someone whose entry point is not there.
use constant SHOWN => 20;
# Folders modules are found in, as people and cpanm (`-l .` and Carton's `local`) lay them out.
my @LIBRARIES = qw(lib local/lib/perl5 lib/perl5);

# Runs the file that the entry point names, whose last value is the function. Dies with a text for the user.
sub load {
    my ($path, $entry) = @_;
    -e $path or die "there is no code at $path\n";
    my $file = Cwd::realpath($path);
    if (-d $file) {
        lib->import(grep { -d } map { "$file/$_" } @LIBRARIES);
        $file = in_folder($file, $entry);
    }
    my $function = run($file);
    return callable($function) ? $function : die "$file does not end with a function but "
        . (ref $function || (defined $function ? 'a plain value' : 'nothing')) . ": its last value must be a sub,"
        . " as in `return sub { my (\$request) = \@_; ... };`\n";
}

# An error as the user should read it: with file and line, without frames of this server.
sub explain {
    my ($error) = @_;
    my $text = blessed $error && $error->can('message') && !overload::Method($error, '""') ? $error->message : "$error";
    my $own = quotemeta __FILE__;
    $text =~ s/^(?:Compilation failed in require|BEGIN failed--compilation aborted) at $own line \d+\.?\n//mg;
    $text =~ s/\n+\z//;
    return length $text ? $text : 'it died without a reason';
}

sub in_folder {
    my ($folder, $entry) = @_;
    my @files = files($folder);
    if (length $entry) {
        for my $name (map { $entry . $_ } @ENDINGS) {
            my $file = Cwd::realpath("$folder/$name");
            return $file if defined $file && -f $file && index($file, "$folder/") == 0;
        }
        die "there is no file $entry in the package; it has " . shown(@files) . "\n";
    }
    my @top = grep { /\.(?:pl|pm|psgi)\z/ && !m{/} } @files;
    return "$folder/$top[0]" if @top == 1;
    for my $name (@MAIN) {
        return "$folder/$name" if -f "$folder/$name";
    }
    die "which file is the function? Name it as the entry point, or call it main.pl; the package has "
        . shown(@files) . "\n";
}

sub shown {
    my @files = @_;
    my @some = @files > SHOWN ? (@files[ 0 .. SHOWN - 1 ], '...') : @files;
    return @some ? join(', ', @some) : 'no files';
}

# The package's own files, without installed modules, which are many.
sub files {
    my ($folder) = @_;
    my @files;
    File::Find::find({
        no_chdir => 1,
        wanted => sub {
            my $name = substr $_, 1 + length $folder;
            $File::Find::prune = 1 if $name =~ m{\A(?:local|lib/perl5)\z|(?:\A|/)\.};
            push @files, $name if -f && length $name;
        },
    }, $folder);
    @files = sort @files;
    return @files;
}

sub callable {
    my ($value) = @_;
    return (reftype $value // '') eq 'CODE' || (blessed $value && overload::Method($value, '&{}'));
}

# Apart from everything else, as the file must not see this one's variables.
sub run {
    my ($file) = @_;
    # Both are the file's to set: an error, and why it could not be read.
    local ($@, $!);
    my $function = main_do($file);
    die explain($@) . "\n" if $@;
    die "$file cannot be read: $!\n" if !defined $function && !defined $INC{$file};
    return $function;
}

sub main_do {
    package main;
    return scalar do $_[0];
}

1;
