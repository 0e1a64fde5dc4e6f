require 'money'

# The class comes from a gem: the Gemfile asks for it, the build installs it into vendor/bundle, the server loads that.
def handler(context)
  "#{Money.new(context.request.params['cents'].to_i, 'EUR')}\n"
end
