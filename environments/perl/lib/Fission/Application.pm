package Fission::Application;

# The Dancer2 application that functions are called in. It has the name that Fission's own environment gives it: a function
# that says `package App::Fission::Perl; use Dancer2;` has Dancer2's words for this request.

use strict;
use warnings;

use Dancer2::Core::Request ();
use Encode ();
use Plack::Util ();
use Scalar::Util qw(blessed);

use Fission::Code;

# Where a function's answer lies when it is none that Dancer2 sends.
use constant ANSWER => 'fission.answer';
# The method of the request, where it is one Dancer2 does not know.
use constant METHOD => 'fission.method';
# What text is taken for that says nothing else, as Dancer2 has it.
my @HTML = ('Content-Type' => 'text/html; charset=UTF-8');
# Levels of Dancer2's, by names that others use too.
my %LEVELS = (warn => 'warning', fatal => 'error', critical => 'error', trace => 'core');

my $function;
# Dancer2's way from a request to the function. None for code that does not use Dancer2: the way is long, and who has none
# of its words sees nothing of it.
my $application;
my $words;

{
    package App::Fission::Perl;

    BEGIN { $ENV{DANCER_ENVIRONMENT} //= $ENV{PLACK_ENV} //= 'production' }
    use Dancer2;

    my $level = lc($ENV{LOG_LEVEL} // 'debug');
    $level = $LEVELS{$level} // $level;
    # The time and the request are added where lines are kept.
    set engines => { logger => { console => { log_format => '%L %m' } } };
    set logger => 'console';
    set log => $level =~ /\A(?:core|debug|info|warning|error)\z/ ? $level : 'debug';
    set show_errors => 0;
    set startup_info => 0;
    set no_server_tokens => 1;
    set static_handler => 0;
    # An answer to HEAD loses its body where it is sent; all else is the function's own affair.
    set no_default_middleware => 1;

    any qr{.*}s => sub { return Fission::Application::answer(app->request) };

    # What was set after the application was made is for those of its parts that are made later.
    sub psgi { return app->to_app }
}

# From here on, who asks for Dancer2's words is noticed.
{
    no warnings 'redefine';
    my $import = Dancer2->can('import');
    *Dancer2::import = sub { $words = 1; goto &$import };
}

# From now on requests are for this function.
sub serve_with {
    ($function) = @_;
    # Made once the code has said what it wants of it, such as a serializer.
    $application = $words ? App::Fission::Perl::psgi() : undef;
    return;
}

# Other code is loaded next.
sub forget {
    ($function, $application, $words) = ();
    return;
}

# The answer to a request as PSGI has it. Dies when the function does.
sub call {
    my ($env) = @_;
    if (!$application) {
        my $answer = answer(Dancer2::Core::Request->new(env => $env));
        my $own = delete $env->{ +ANSWER };
        return $own ? sent($own) : [ 200, [@HTML], [ Encode::encode_utf8($answer // '') ] ];
    }
    if (!$Dancer2::Core::Types::supported_http_methods{ $env->{REQUEST_METHOD} }) {
        $env->{ +METHOD } = $env->{REQUEST_METHOD};
        $env->{REQUEST_METHOD} = 'POST';
    }
    my $answer = $application->($env);
    my $own = delete $env->{ +ANSWER };
    return $own ? sent($own) : $answer;
}

sub sent {
    my ($own) = @_;
    die length $own->{died} ? $own->{died} : "it died without a reason\n" if exists $own->{died};
    return $own->{psgi};
}

# Calls the function, within Dancer2. An answer of PSGI's is kept for `call`, which has the request's environment too.
sub answer {
    my ($request) = @_;
    my $env = $request->env;
    $env->{REQUEST_METHOD} = $env->{ +METHOD } if exists $env->{ +METHOD };
    my $value;
    if (!eval { $value = $function->($request); 1 }) {
        $env->{ +ANSWER } = { died => $@ };
        return '';
    }
    return $value if !ref $value || ($application && blessed $value
        && ($value->isa('Dancer2::Core::Response') || $value->isa('Dancer2::Core::Response::Delayed')));
    if (blessed $value && $value->can('finalize')) {
        $env->{ +ANSWER } = { psgi => $value->finalize };
        return '';
    }
    if (Plack::Util::is_real_fh($value) || ref $value eq 'CODE' || triplet($value)) {
        $env->{ +ANSWER } = { psgi => ref $value eq 'ARRAY' || ref $value eq 'CODE' ? $value : [ 200, [], $value ] };
        return '';
    }
    # A serializer makes text of it.
    return $value if $application && App::Fission::Perl::app()->has_serializer_engine;
    $env->{ +ANSWER } = { died => 'the function returned ' . ref($value) . ', not text or [status, [headers], body];'
        . " make a string of it (JSON's encode_json), or return a Plack::Response\n" };
    return '';
}

sub triplet {
    my ($value) = @_;
    return ref $value eq 'ARRAY' && @$value == 3 && ($value->[0] // '') =~ /\A[1-9]\d\d\z/ && ref $value->[1] eq 'ARRAY';
}

1;
