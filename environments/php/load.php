<?php
// From code and an entry point to something that can be called.

namespace Fission;

/** The code has no such function. The text is for the user. */
final class LoadError extends \Exception
{
}

/** A function: called by name, or a script whose output is the answer. */
final class Code
{
    /** The function where the entry point names none. */
    private const DEFAULT = 'handler';
    /** Files a folder without an entry point is looked through for, best first. */
    private const MAIN_FILES = ['index.php', 'main.php', 'handler.php', 'function.php'];
    /** Names shown to someone whose entry point is not there. */
    private const SHOWN = 20;

    private function __construct(public readonly string $file, public readonly ?string $function)
    {
    }

    /**
     * Loads what the entry point names: `file.php::function`, `file.php` (a script that prints its answer), or nothing:
     * `handler`, or a script when there is no such function. A single file is the file, whatever it is called.
     */
    public static function load(string $path, string $entry): self
    {
        if (!file_exists($path)) {
            throw new LoadError("there is no code at $path");
        }
        [$name, $function] = explode('::', $entry, 2) + [1 => null];
        $file = is_dir($path) ? self::inFolder($path, $name) : $path;
        $declared = self::declared($file);
        if ($entry === '' || (!is_dir($path) && $function === null && in_array(strtolower($entry), $declared, true))) {
            $wanted = $entry === '' ? self::DEFAULT : $entry;
            $function = in_array($wanted, $declared, true) ? $wanted : null;
        }
        $vendor = dirname($file) . '/vendor/autoload.php';
        foreach (array_unique([$vendor, (is_dir($path) ? $path : dirname($path)) . '/vendor/autoload.php']) as $autoload) {
            if (is_file($autoload)) {
                require_once $autoload;
            }
        }
        if ($function !== null) {
            self::include($file);
            if (!is_callable($function)) {
                $has = $declared === [] ? 'it has none' : 'it has ' . implode(', ', array_slice($declared, 0, self::SHOWN));
                throw new LoadError("Handler function '$function' not found in " . basename($file) . "; $has");
            }
        }
        return new self($file, $function);
    }

    /** Runs the script. Its variables are its own. */
    public static function include(string $__file): void
    {
        require $__file;
    }

    private static function inFolder(string $folder, string $name): string
    {
        $files = array_values(array_filter(scandir($folder), fn ($file) => !str_starts_with($file, '.')));
        $scripts = array_values(array_filter($files, fn ($file) => str_ends_with($file, '.php')));
        if ($name === '') {
            $name = array_values(array_intersect(self::MAIN_FILES, $scripts))[0] ?? (count($scripts) === 1 ? $scripts[0] : '');
        }
        $file = $name === '' ? false : realpath("$folder/$name");
        if ($file !== false && !str_starts_with($file, realpath($folder) . '/')) {
            throw new LoadError("entry point: $name is outside the package");
        }
        if ($file === false || !is_file($file)) {
            $has = $files === [] ? 'no files' : implode(', ', array_slice($files, 0, self::SHOWN));
            throw new LoadError(($name === '' ? 'say with --entrypoint file.php::function what to call' : "entry point: there is no file $name in the package") . "; it has $has");
        }
        return $file;
    }

    /**
     * The functions a file declares outside of classes and other functions, without running it.
     *
     * @return list<string>
     */
    private static function declared(string $file): array
    {
        $names = [];
        $depth = 0;
        $previous = null;
        try {
            $tokens = \PhpToken::tokenize((string) file_get_contents($file), TOKEN_PARSE);
        } catch (\ParseError $error) {
            // It was given text, so it knows the line but not the file.
            throw new LoadError("PHP Parse error: {$error->getMessage()} in $file:{$error->getLine()}");
        }
        foreach ($tokens as $token) {
            if ($token->isIgnorable() || $token->text === '&') {
                continue;
            }
            if ($token->is(['{', T_CURLY_OPEN, T_DOLLAR_OPEN_CURLY_BRACES])) {
                $depth++;
            } elseif ($token->text === '}') {
                $depth--;
            } elseif ($depth === 0 && $token->is(T_STRING) && $previous?->is(T_FUNCTION)) {
                $names[] = $token->text;
            }
            $previous = $token;
        }
        return $names;
    }

    /** An error as the user should read it: with file and line, without this server's own frames. */
    public static function explain(\Throwable $error): string
    {
        if ($error instanceof LoadError) {
            return $error->getMessage();
        }
        $kind = $error instanceof \ParseError ? 'PHP Parse error' : 'PHP Fatal error: Uncaught ' . $error::class;
        $text = "$kind: {$error->getMessage()} in {$error->getFile()}:{$error->getLine()}";
        foreach ($error->getTrace() as $frame) {
            if (isset($frame['file']) && !str_starts_with($frame['file'], __DIR__)) {
                $text .= "\n  at {$frame['file']}:{$frame['line']}";
            }
        }
        return $text;
    }
}
