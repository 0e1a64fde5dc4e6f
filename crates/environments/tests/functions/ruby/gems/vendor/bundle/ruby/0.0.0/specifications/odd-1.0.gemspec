# -*- encoding: utf-8 -*-
# stub: odd 1.0 ruby source

Gem::Specification.new do |s|
  s.name = 'odd'.freeze
  s.version = '1.0'
  s.require_paths = ['source'.freeze]
  s.summary = 'A gem whose files are not in lib'
  s.authors = ['Example']
end
